import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { pino } from 'pino';
import { EmbeddedEngine, ENCODER_MODEL, shared } from './embedded-engine.js';
import { EngineProcess } from './engine-process.js';
import type { ChatAnswer, ChatQuestion, Embedding } from './engine.js';
import { TINY_MODEL, ensureTinyGguf, tinyLlama } from './tiny-gguf.js';

const log = pino({ level: 'silent' });
const never = new AbortController().signal;

describe('the embedded engine', () => {
  let dir: string;
  let engine: EmbeddedEngine;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'berth-engine-'));
    engine = new EmbeddedEngine({ cacheDir: dir, processors: 2, log });
  });
  afterAll(async () => {
    await engine.close();
    await rm(dir, { recursive: true, force: true });
  });

  const question: ChatQuestion = {
    model: TINY_MODEL,
    messages: [{ role: 'user', content: 'Hello there' }],
    maxTokens: 8,
    temperature: 1,
    topP: 1,
    seed: 7,
    stop: [],
  };
  const chat = async (more: Partial<ChatQuestion> = {}): Promise<ChatAnswer> =>
    (await engine.chat({ ...question, ...more }, never)) as ChatAnswer;

  it('puts billing nearer to billing than to weather', async () => {
    const texts = [
      'How do I pay my invoice?',
      'The bill for last month is wrong',
      'It will rain tomorrow in the mountains',
    ];
    const [pay, bill, rain] = (await engine.embed(ENCODER_MODEL, texts, never)) as Embedding[];
    expect([pay, bill, rain].map((embedding) => embedding?.vector.length)).toEqual([512, 512, 512]);
    expect(cosine(pay, bill)).toBeGreaterThan(cosine(pay, rain) + 0.1);
    expect(cosine(pay, bill)).toBeGreaterThan(cosine(bill, rain) + 0.1);
    // The pieces of the model's own tokenizer: ▁How ▁do ▁I ▁pay ▁my ▁in vo ice ?
    expect(pay?.tokens).toBe(9);
  });

  it('gives a text the same vector in any company, and refuses one that is too long', async () => {
    const alone = (await engine.embed(ENCODER_MODEL, ['a lease of eight cards'], never)) as Embedding[];
    const outcomes = await engine.embed(
      ENCODER_MODEL,
      ['x '.repeat(9_000), 'a lease of eight cards', 'y '.repeat(3_000)],
      never,
    );
    expect(outcomes[0]).toMatchObject({
      refused: { code: 'context_length_exceeded', message: expect.stringContaining('characters') },
    });
    expect(outcomes[2]).toMatchObject({
      refused: { code: 'context_length_exceeded', message: expect.stringContaining('tokens') },
    });
    expect((outcomes[1] as Embedding).vector).toEqual(alone[0]?.vector);
    // What the encoder's package computes by itself.
    const first = [...(outcomes[1] as Embedding).vector.slice(0, 6)].map((x) => Number(x.toFixed(5)));
    expect(first).toEqual([0.00431, 0.00908, 0.05333, -0.05126, 0.01091, -0.03209]);
  });

  it('gives the same vectors in the same order when several processes share the texts', async () => {
    const texts = Array.from({ length: 40 }, (_, i) => `${'many words '.repeat(i % 7)}and the number ${i}`);
    const together = (await engine.embed(ENCODER_MODEL, texts, never)) as Embedding[];
    for (const at of [0, 13, 26, 39]) {
      const [alone] = (await engine.embed(ENCODER_MODEL, texts.slice(at, at + 1), never)) as Embedding[];
      expect(together[at]).toEqual(alone);
    }
  });

  it('rejects a shared call at once when it is aborted, and answers the next', async () => {
    const abort = new AbortController();
    const long = engine.embed(ENCODER_MODEL, new Array<string>(64).fill('some text '.repeat(30)), abort.signal);
    abort.abort(new Error('enough'));
    await expect(long).rejects.toThrow('enough');
    expect(await engine.embed(ENCODER_MODEL, ['next'], never)).toHaveLength(1);
  });

  it('chats eight tokens with their usage, the same for the same seed', async () => {
    const first = await chat();
    expect(first).toMatchObject({ finishReason: 'length', completionTokens: 8 });
    expect(first.text.length).toBeGreaterThan(8);
    expect(await chat({ maxTokens: 3, seed: 99 })).toMatchObject({ completionTokens: 3 });
    expect(await chat()).toEqual(first);
    expect((await chat({ seed: 8 })).text).not.toBe(first.text);
    // Each byte is a token where no syllable fits, so a longer prompt counts more.
    const longer = await chat({ messages: [{ role: 'user', content: 'Hello there, 1234' }] });
    expect(longer.promptTokens).toBe(first.promptTokens + 6);
  });

  it('stops before a stop text, and refuses what its context cannot hold', async () => {
    const { text } = await chat();
    const stop = text.slice(4, 8);
    expect(await chat({ stop: [stop] })).toMatchObject({
      finishReason: 'stop',
      text: text.slice(0, text.indexOf(stop)),
    });
    expect(await engine.chat({ ...question, maxTokens: 4_000 }, never)).toMatchObject({
      refused: { code: 'context_length_exceeded' },
    });
  });

  it('serves a GGUF file under its name, and answers other calls when one is aborted', async () => {
    const path = join(dir, 'My-Model.gguf');
    await copyFile(await ensureTinyGguf(join(dir, 'models')), path);
    const own = new EmbeddedEngine({ cacheDir: dir, ggufPath: path, log });
    try {
      expect(own.models().map((model) => model.id)).toEqual([ENCODER_MODEL, TINY_MODEL, 'My-Model']);
      const abort = new AbortController();
      const long = own.chat({ ...question, model: 'My-Model', maxTokens: 1_900 }, abort.signal);
      abort.abort(new Error('enough'));
      await expect(long).rejects.toThrow('enough');
      expect(await own.chat({ ...question, model: 'My-Model' }, never)).toMatchObject({ completionTokens: 8 });
    } finally {
      await own.close();
    }
  });

  it('tells an engine that cannot start, each time it is asked', async () => {
    const broken = new EngineProcess('llama-backend', { path: join(dir, 'missing.gguf') }, log);
    for (let i = 0; i < 2; i++)
      await expect(broken.call({ op: 'chat', question }, never)).rejects.toMatchObject({ reason: 'unavailable' });
  });
});

describe('shares of texts', () => {
  it('hold each text once, with its place, and weigh about the same', () => {
    const text = fc.nat({ max: 500 }).map((n) => 'x'.repeat(n));
    fc.assert(
      fc.property(fc.array(text, { maxLength: 100 }), fc.integer({ min: 1, max: 5 }), (texts, count) => {
        const shares = shared(texts, count);
        expect(shares).toHaveLength(count);
        const places = shares.flat().toSorted((a, b) => a.at - b.at);
        expect(places).toEqual(texts.map((of, at) => ({ at, text: of })));
        const weights = shares.map((share) => share.reduce((sum, entry) => sum + entry.text.length, 0));
        expect(Math.max(...weights) - Math.min(...weights)).toBeLessThanOrEqual(500);
      }),
    );
  });
});

describe('the stand-in model', () => {
  it('has the same bytes for the same seed', () => {
    const digest = (seed: number): string => createHash('sha256').update(tinyLlama(seed)).digest('hex');
    expect(digest(1)).toBe(digest(1));
    expect(digest(2)).not.toBe(digest(1));
    expect(tinyLlama(1).length).toBeLessThan(500_000);
  });
});

function cosine(a: Embedding | undefined, b: Embedding | undefined): number {
  if (!a || !b) return Number.NaN;
  const dot = (x: Float32Array, y: Float32Array): number => x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
  return dot(a.vector, b.vector) / Math.sqrt(dot(a.vector, a.vector) * dot(b.vector, b.vector));
}
