import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { batchLine, type BatchLine, type BatchResultLine } from '#contracts';
import { EngineFailure, type Embedding, type Engine, type Refusal } from '../engines/engine.js';
import { chatAnswer, chatQuestion, embeddingAnswer, errorAnswer, type LineOrigin } from './batch-answer.js';
import { linesOf } from './line-file.js';
import { ResultLines } from './result-lines.js';
import { WorkFailure, type Outcome, type RunContext, type Runner } from './runner.js';
import type { Transfers } from './transfer.js';

/** Texts embedded between two entries in the result file: what a crash may cost at most. A chat is an entry of its own. */
const TEXTS_PER_STEP = 64;

interface InputLine {
  readonly origin: LineOrigin;
  readonly line: BatchLine | undefined;
  readonly wrong: string;
}

/**
 * Answers one slice of a batch. Input and result are files of the work's folder; a restart goes on behind the last whole
 * result line. A bad line becomes an error line; only an engine that does not start, or a refused transfer, fails the shard.
 */
export class BatchRunner implements Runner<'batch-inference'> {
  readonly kind = 'batch-inference';

  constructor(
    private readonly engines: readonly Engine[],
    private readonly transfers: Transfers,
  ) {}

  async run(context: RunContext): Promise<Outcome> {
    const { item, folder, signal, clock } = context;
    if (item.spec.kind !== 'batch-inference') throw new TypeError('not a batch shard');
    const { inputPath, lineFrom, lineTo } = item.spec;
    const total = lineTo - lineFrom;
    const inputFile = join(folder, 'input.jsonl');
    const resultFile = join(folder, 'result.jsonl');

    if (!existsSync(inputFile)) {
      await this.transfers.retry('input-refused', signal, () => context.files.download(inputPath, inputFile, signal));
    }
    const startedAt = clock.now();
    const results = await ResultLines.open(resultFile);
    const input = await open(inputFile, 'r');
    try {
      if (results.count > total) await results.restart();
      context.progress(results.count, total);
      let step: InputLine[] = [];
      let texts = 0;
      let read = 0;
      const compute = async (): Promise<void> => {
        await results.append(await this.answerAll(step, context));
        step = [];
        texts = 0;
        context.progress(results.count, total);
      };
      for await (const { text } of linesOf(input)) {
        if (text.trim() === '') continue;
        if (read++ < results.count) continue;
        const line = inputLine(item.workId, lineFrom + read - 1, text);
        step.push(line);
        texts += textsIn(line);
        if (texts >= TEXTS_PER_STEP) await compute();
      }
      if (step.length > 0) await compute();
      if (read !== total) throw new WorkFailure('input-mismatch', `The input has ${read} lines instead of ${total}.`);
    } finally {
      await input.close();
      await results.close();
    }
    const busyMs = clock.now() - startedAt;

    const resultSha256 = await sha256(resultFile);
    await this.transfers.retry('result-refused', signal, () => context.files.uploadResult(item, resultFile, signal));
    const counts = results.tally;
    return { workId: item.workId, fence: item.fence, state: 'done', resultSha256, counts, exitCode: null, busyMs };
  }

  /** Answers in order. The texts of all embedding lines of one model go to the engine together. */
  private async answerAll(step: readonly InputLine[], context: RunContext): Promise<BatchResultLine[]> {
    const answers = new Array<BatchResultLine | undefined>(step.length);
    const embeddings = new Map<string, { at: number; texts: readonly string[] }[]>();
    for (const [at, { origin, line, wrong }] of step.entries()) {
      if (!line) {
        answers[at] = errorAnswer(origin, 'invalid_request', wrong);
        continue;
      }
      const task = line.url === '/v1/embeddings' ? 'embeddings' : 'chat';
      const engine = this.engineOf(line.body.model, task);
      const served = engine?.models().find((model) => model.id === line.body.model);
      if (!engine || !served) {
        answers[at] = errorAnswer(
          origin,
          'model_not_found',
          `No model "${line.body.model}" for ${task} is served on this machine.`,
        );
      } else if (line.url === '/v1/chat/completions') {
        answers[at] = await guarded(origin, context.signal, async () =>
          chatAnswer(origin, line, await engine.chat(chatQuestion(origin, line), context.signal), context.clock.now()),
        );
      } else if (line.body.dimensions !== undefined && line.body.dimensions !== served.dimensions) {
        const message = `The model gives ${served.dimensions} dimensions, not ${line.body.dimensions}.`;
        answers[at] = errorAnswer(origin, 'unsupported_dimensions', message);
      } else {
        const texts = typeof line.body.input === 'string' ? [line.body.input] : line.body.input;
        embeddings.set(line.body.model, [...(embeddings.get(line.body.model) ?? []), { at, texts }]);
      }
    }
    for (const [model, entries] of embeddings) await this.embedAll(model, entries, step, answers, context);
    return answers.map((answer) => {
      if (!answer) throw new Error('a line was left without an answer');
      return answer;
    });
  }

  private async embedAll(
    model: string,
    entries: readonly { at: number; texts: readonly string[] }[],
    step: readonly InputLine[],
    answers: (BatchResultLine | undefined)[],
    context: RunContext,
  ): Promise<void> {
    const engine = this.engineOf(model, 'embeddings');
    if (!engine) return;
    const fill = (at: number, outcomes: readonly (Embedding | Refusal)[]): void => {
      const input = step[at];
      if (input?.line?.url === '/v1/embeddings') answers[at] = embeddingAnswer(input.origin, input.line, outcomes);
    };
    try {
      const outcomes = await engine.embed(
        model,
        entries.flatMap((entry) => entry.texts),
        context.signal,
      );
      let from = 0;
      for (const { at, texts } of entries) fill(at, outcomes.slice(from, (from += texts.length)));
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof EngineFailure) || error.reason === 'unavailable') throw error;
      // One text brought the engine down: line by line, only the guilty line stays without an answer.
      for (const { at, texts } of entries) {
        const origin = step[at]?.origin;
        if (!origin) continue;
        answers[at] = await guarded(origin, context.signal, async () => {
          fill(at, await engine.embed(model, texts, context.signal));
          return answers[at] ?? errorAnswer(origin, 'engine_error', 'The engine gave no answer.');
        });
      }
    }
  }

  private engineOf(model: string, task: 'embeddings' | 'chat'): Engine | undefined {
    return this.engines.find((engine) => engine.models().some((served) => served.id === model && served.task === task));
  }
}

/** A crash of the engine over one line is that line's error; an engine that does not start is the shard's. */
async function guarded(
  origin: LineOrigin,
  signal: AbortSignal,
  answer: () => Promise<BatchResultLine>,
): Promise<BatchResultLine> {
  try {
    return await answer();
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof EngineFailure) || error.reason === 'unavailable') throw error;
    return errorAnswer(origin, 'engine_error', error.message);
  }
}

function inputLine(workId: string, n: number, text: string): InputLine {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { origin: { workId, customId: `line-${n}` }, line: undefined, wrong: 'The line is not JSON.' };
  }
  const customId = (json as { custom_id?: unknown } | null)?.custom_id;
  const origin = { workId, customId: typeof customId === 'string' && customId.length > 0 ? customId : `line-${n}` };
  const parsed = batchLine.safeParse(json);
  if (parsed.success) return { origin, line: parsed.data, wrong: '' };
  const wrong = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'line'}: ${issue.message}`).join('; ');
  return { origin, line: undefined, wrong };
}

/** How much of a step a line fills. */
function textsIn({ line }: InputLine): number {
  if (!line) return 1;
  if (line.url === '/v1/chat/completions') return TEXTS_PER_STEP;
  return typeof line.body.input === 'string' ? 1 : line.body.input.length;
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
