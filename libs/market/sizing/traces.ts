import { DomainError } from '#kernel';
import { TraceReader, TraceRefused, type TraceReport } from '#hardware';
import type { SizingRequest, TraceSummary } from '#contracts';

type Known = Pick<TraceReport, 'findings' | 'found' | 'skipped'> & { readonly summary: TraceSummary };

/** Lines read between two pauses: a few milliseconds. */
const SLICE = 500;

/** The summary of a trace that came as one or as text; null for a workload without a trace. */
export async function reportOf(work: SizingRequest['workload'], pause: () => Promise<void>): Promise<Known | null> {
  if (work.kind !== 'trace') return null;
  if ((work.summary === undefined) === (work.text === undefined))
    throw new DomainError('invalid', 'trace-missing', 'A trace comes as its summary or as text: one of the two.', {
      field: 'workload.summary',
      fix: 'Give workload.summary or workload.text.',
    });
  if (work.summary !== undefined) return { summary: work.summary, findings: [], found: 0, skipped: 0 };
  const reader = new TraceReader({ strict: work.strict });
  try {
    let read = 0;
    for (const line of linesOf(work.text ?? '')) {
      reader.push(line);
      if (++read % SLICE === 0) await pause();
    }
    await pause();
    return reader.end();
  } catch (error) {
    if (!(error instanceof TraceRefused)) throw error;
    throw new DomainError('invalid', 'trace-refused', `The trace cannot be used: ${error.message}`, {
      field: 'workload.text',
      fix: work.strict
        ? 'Mend the line, or leave out strict to go on without it.'
        : 'Send a trace in one of the known forms.',
      ...(error.line === null ? {} : { facts: { line: error.line } }),
    });
  }
}

function* linesOf(text: string): Generator<string> {
  let from = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', from)) {
    yield text.slice(from, text[at - 1] === '\r' ? at - 1 : at);
    from = at + 1;
  }
  yield text.slice(from);
}
