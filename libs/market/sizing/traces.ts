import { DomainError } from '#kernel';
import { TraceReader, TraceRefused, type TraceReport } from '#hardware';
import type { SizingRequest, TraceSummary } from '#contracts';

type Known = Pick<TraceReport, 'findings' | 'found' | 'skipped'> & { readonly summary: TraceSummary };

/** The summary of a trace that came as one or as text; null for a workload without a trace. */
export function reportOf(work: SizingRequest['workload']): Known | null {
  if (work.kind !== 'trace') return null;
  if ((work.summary === undefined) === (work.text === undefined))
    throw new DomainError('invalid', 'trace-missing', 'A trace comes as its summary or as text: one of the two.', {
      field: 'workload.summary',
      fix: 'Give workload.summary or workload.text.',
    });
  if (work.summary !== undefined) return { summary: work.summary, findings: [], found: 0, skipped: 0 };
  const reader = new TraceReader({ strict: work.strict });
  try {
    for (const line of (work.text ?? '').split(/\r?\n/)) reader.push(line);
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
