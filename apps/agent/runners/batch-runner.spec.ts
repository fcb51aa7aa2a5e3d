import { createHash } from 'node:crypto';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { batchResultLine, type BatchResultLine, type WorkItem } from '#contracts';
import { ManualClock, SeededRandom } from '#kernel';
import {
  EngineFailure,
  type ChatAnswer,
  type ChatQuestion,
  type Embedding,
  type Engine,
  type Refusal,
} from '../engines/engine.js';
import type { BrokerFiles } from '../sync/broker-client.js';
import { BatchRunner } from './batch-runner.js';
import type { Outcome } from './runner.js';
import { Transfers } from './transfer.js';

/** Embeds into two numbers; `poison` brings it down, `long` is refused. */
class ToyEngine implements Engine {
  readonly name = 'toy';
  readonly questions: ChatQuestion[] = [];
  embedded = 0;
  constructor(private readonly works = true) {}
  models() {
    return [
      { id: 'toy-embed', task: 'embeddings' as const, dimensions: 2 },
      { id: 'toy-chat', task: 'chat' as const, dimensions: 0 },
    ];
  }
  async embed(_model: string, texts: readonly string[]): Promise<(Embedding | Refusal)[]> {
    if (!this.works) throw new EngineFailure('unavailable', 'no such library');
    if (texts.includes('poison')) throw new EngineFailure('crashed', 'segmentation fault');
    this.embedded += texts.length;
    return texts.map((text) =>
      text === 'long'
        ? { refused: { code: 'context_length_exceeded', message: 'too long' } }
        : { vector: Float32Array.of(0.1, text.length), tokens: text.length },
    );
  }
  async chat(question: ChatQuestion): Promise<ChatAnswer | Refusal> {
    this.questions.push(question);
    return { text: 'noise', finishReason: 'length', promptTokens: 11, completionTokens: question.maxTokens };
  }
  async close(): Promise<void> {}
}

const embed = (id: string, input: string | string[], more: object = {}): object => ({
  custom_id: id,
  method: 'POST',
  url: '/v1/embeddings',
  body: { model: 'toy-embed', input, ...more },
});
const chat = (id: string, more: object = {}): object => ({
  custom_id: id,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'toy-chat', messages: [{ role: 'user', content: 'Hi' }], ...more },
});

describe('a batch shard', () => {
  let folder: string;
  const progress: number[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'berth-shard-'));
    progress.length = 0;
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function run(
    lines: readonly (object | string)[],
    engine: Engine = new ToyEngine(),
    total = lines.length,
  ): Promise<{ outcome: Outcome; lines: BatchResultLine[] }> {
    const item: WorkItem = {
      workId: 'shd_1',
      jobId: 'job_1',
      leaseId: 'lease_1',
      fence: 1,
      deadlineAt: '2026-01-01T01:00:00Z',
      spec: {
        kind: 'batch-inference',
        model: 'toy',
        inputPath: '/agent/v1/inputs/shd_1',
        lineFrom: 100,
        lineTo: 100 + total,
      },
    };
    let uploaded = '';
    const files: BrokerFiles = {
      download: (_path, toFile) =>
        writeFile(toFile, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')),
      uploadResult: async (_work, fromFile) => void (uploaded = await readFile(fromFile, 'utf8')),
      uploadOutput: () => Promise.reject(new Error('no outputs')),
    };
    const runner = new BatchRunner([engine], new Transfers(new SeededRandom(1), () => Promise.resolve()));
    const outcome = await runner.run({
      item,
      folder,
      files,
      logs: { write: () => undefined },
      clock: new ManualClock(),
      log: pino({ level: 'silent' }),
      signal: new AbortController().signal,
      progress: (done) => progress.push(done),
    });
    expect(outcome).toMatchObject({ resultSha256: createHash('sha256').update(uploaded).digest('hex') });
    const parsed = uploaded
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => batchResultLine.parse(JSON.parse(line)));
    return { outcome, lines: parsed };
  }

  it('answers in the form and order of the input, with usage', async () => {
    const { outcome, lines } = await run([embed('a', 'abc'), chat('b', { max_tokens: 4 }), embed('c', ['x', 'yz'])]);
    expect(lines.map((line) => line.custom_id)).toEqual(['a', 'b', 'c']);
    expect(lines[0]?.response?.body).toEqual({
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: [0.100000001, 3] }],
      model: 'toy-embed',
      usage: { prompt_tokens: 3, total_tokens: 3 },
    });
    expect(lines[1]?.response?.body).toMatchObject({
      object: 'chat.completion',
      choices: [{ message: { role: 'assistant', content: 'noise' }, finish_reason: 'length' }],
      usage: { prompt_tokens: 11, completion_tokens: 4, total_tokens: 15 },
    });
    expect(outcome).toMatchObject({ state: 'done', counts: { ok: 3, failed: 0, inputTokens: 17, outputTokens: 4 } });
  });

  it('turns each bad line into an error line and finishes the rest', async () => {
    const { outcome, lines } = await run([
      embed('ok', 'abc'),
      embed('model', 'abc', { model: 'nope' }),
      chat('task', { model: 'toy-embed' }),
      embed('dims', 'abc', { dimensions: 256 }),
      embed('long', ['abc', 'long']),
      'not json',
      { custom_id: 'form', method: 'GET' },
      embed('poison', 'poison'),
      embed('ok2', 'abc', { dimensions: 2 }),
    ]);
    expect(lines.map((line) => [line.custom_id, line.error?.code])).toEqual([
      ['ok', undefined],
      ['model', 'model_not_found'],
      ['task', 'model_not_found'],
      ['dims', 'unsupported_dimensions'],
      ['long', 'context_length_exceeded'],
      ['line-105', 'invalid_request'],
      ['form', 'invalid_request'],
      ['poison', 'engine_error'],
      ['ok2', undefined],
    ]);
    expect(outcome).toMatchObject({ state: 'done', counts: { ok: 2, failed: 7 } });
  });

  it('fails the shard when the engine does not start or the input is short', async () => {
    await expect(run([embed('a', 'abc')], new ToyEngine(false))).rejects.toMatchObject({ reason: 'unavailable' });
    await rm(join(folder, 'input.jsonl'));
    await expect(run([embed('a', 'abc')], new ToyEngine(), 2)).rejects.toMatchObject({ code: 'input-mismatch' });
  });

  it('gives base64 floats that are the same numbers', async () => {
    const { lines } = await run([embed('a', 'abc', { encoding_format: 'base64' })]);
    const body = lines[0]?.response?.body as { data: { embedding: string }[] };
    const bytes = Buffer.from(body.data[0]?.embedding ?? '', 'base64');
    expect([bytes.readFloatLE(0), bytes.readFloatLE(4)]).toEqual([Math.fround(0.1), 3]);
  });

  it('draws a seed from the ids where a line has none, and keeps ids over runs', async () => {
    const engine = new ToyEngine();
    const first = await run([chat('a'), chat('b'), chat('c', { seed: 5 })], engine);
    await rm(join(folder, 'result.jsonl'));
    const second = await run([chat('a'), chat('b'), chat('c', { seed: 5 })], engine);
    const seeds = engine.questions.map((question) => question.seed);
    expect(seeds.slice(0, 3)).toEqual(seeds.slice(3));
    expect(new Set(seeds.slice(0, 3)).size).toBe(3);
    expect(seeds[2]).toBe(5);
    expect(engine.questions[0]).toMatchObject({ maxTokens: 32, temperature: 1 });
    expect(second.lines).toEqual(first.lines);
    expect(new Set(first.lines.map((line) => line.id)).size).toBe(3);
  });

  it('goes on behind the last whole line, whatever a crash tore off', async () => {
    const input = Array.from({ length: 70 }, (_, i) => embed(`id-${i}`, `text with a line separator \u2028 ${i}`));
    const whole = await run(input);
    expect(progress).toEqual([0, 64, 70]);
    const result = join(folder, 'result.jsonl');
    const text = await readFile(result, 'utf8');
    for (const torn of ['', '{"id":"batch', '\0\0\0\0\n']) {
      const kept = text.split('\n').slice(0, 40).join('\n') + '\n';
      await writeFile(result, kept);
      await appendFile(result, torn);
      const engine = new ToyEngine();
      const again = await run(input, engine);
      expect(engine.embedded).toBe(30);
      expect(again.lines).toEqual(whole.lines);
      expect(again.outcome).toMatchObject({ counts: { ok: 70 } });
    }
  });
});
