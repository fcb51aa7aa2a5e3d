import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { batchLine } from '#contracts';
import { DomainError } from '#kernel';
import { defaultLinesPerShard, MAX_BATCH_LINES, MAX_LINE_BYTES, planBatch, type BatchPlan } from './batch-input.js';

const MODEL = 'universal-sentence-encoder';
const line = (id: string, input = 'text', model = MODEL): string =>
  JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/embeddings', body: { model, input } });
const plan = (text: string, per?: number): BatchPlan => planBatch(Buffer.from(text), MODEL, per);

/** What an agent reads of each slice: its lines, parsed as they lie there. */
function readBack(text: string, { slices }: BatchPlan): string[][] {
  const bytes = Buffer.from(text);
  return slices.map(({ byteFrom, byteTo }) =>
    bytes
      .toString('utf8', byteFrom, byteTo)
      .split('\n')
      .filter((raw) => raw.trim() !== '')
      .map((raw) => batchLine.parse(JSON.parse(raw)).custom_id),
  );
}
function refusal(text: string | Uint8Array): DomainError {
  try {
    planBatch(typeof text === 'string' ? Buffer.from(text) : text, MODEL, undefined);
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
  throw new Error('the input was taken');
}

describe('the plan of a batch', () => {
  it('cuts by lines and bytes', () => {
    const text = `${line('a')}\n${line('b')}\n${line('c')}\n`;
    const n = Buffer.byteLength(line('a')) + 1;
    expect(plan(text, 2)).toEqual({
      lines: 3,
      characters: 3 * (n - 1),
      slices: [
        { lineFrom: 0, lineTo: 2, byteFrom: 0, byteTo: 2 * n, inputTokensMost: 40, outputTokensMost: 0 },
        { lineFrom: 2, lineTo: 3, byteFrom: 2 * n, byteTo: 3 * n, inputTokensMost: 20, outputTokensMost: 0 },
      ],
    });
  });

  it.each([
    ['no final newline', `${line('a')}\n${line('b')}`],
    ['blank lines', `\n\n${line('a')}\n  \n\t\n${line('b')}\n\n`],
    ['CRLF', `${line('a')}\r\n${line('b')}\r\n`],
    ['CRLF without a final one', `${line('a')}\r\n\r\n${line('b')}`],
    ['a byte order mark', `\ufeff${line('a')}\n${line('b')}\n`],
    ['a byte order mark before a blank line', `\ufeff\n${line('a')}\n${line('b')}\n`],
    ['line separators that are no newlines', `${line('a', 'x\u2028y\u2029z')}\n${line('b')}\n`],
    ['space around', `  ${line('a')} \t\n\t${line('b')}  \n`],
  ])('takes %s, and agents can read what they get', (_, text) => {
    expect(readBack(text, plan(text, 1))).toEqual([['a'], ['b']]);
    expect(readBack(text, plan(text, 5))).toEqual([['a', 'b']]);
  });

  it('keeps text of any script as it is', () => {
    const ids = ['ключ', '鍵', '🗝️', 'e\u0301'];
    const text = ids.map((id) => line(id, `${id} — 𝄞`)).join('\n');
    expect(readBack(text, plan(text, 1))).toEqual(ids.map((id) => [id]));
  });

  it('tiles all lines and all bytes but blanks, and each line parses from its slice', () => {
    const blank = fc.constantFrom('', ' ', '\t', '\r', '\u00a0', '\ufeff');
    const item = fc.oneof(
      { weight: 4, arbitrary: fc.record({ text: fc.string({ minLength: 1, unit: 'grapheme' }), crlf: fc.boolean() }) },
      { weight: 1, arbitrary: blank },
    );
    const shape = fc.record({
      items: fc.array(item, { minLength: 1, maxLength: 40 }),
      per: fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined }),
      bom: fc.boolean(),
      end: fc.boolean(),
    });
    fc.assert(
      fc.property(shape, ({ items, per, bom, end }) => {
        let n = 0;
        const lines = items.map((i) => (typeof i === 'string' ? i : line(`r${n++}`, i.text) + (i.crlf ? '\r' : '')));
        fc.pre(n > 0);
        const text = `${bom ? '\ufeff' : ''}${lines.join('\n')}${end ? '\n' : ''}`;
        const made = plan(text, per);
        const { slices } = made;
        expect(made.lines).toBe(n);
        expect([slices[0]?.lineFrom, slices.at(-1)?.lineTo]).toEqual([0, n]);
        const bytes = Buffer.from(text);
        let at = 0;
        for (const [i, slice] of slices.entries()) {
          expect(slice.lineTo - slice.lineFrom).toBeGreaterThan(0);
          expect(slice.lineFrom).toBe(slices[i - 1]?.lineTo ?? 0);
          expect(slice.byteFrom).toBeGreaterThanOrEqual(at);
          expect(bytes.toString('utf8', at, slice.byteFrom).trim()).toBe('');
          at = slice.byteTo;
        }
        expect(bytes.toString('utf8', at).trim()).toBe('');
        const read = readBack(text, made);
        expect(read.flat()).toEqual(Array.from({ length: n }, (_, i) => `r${i}`));
        expect(read.map((ids) => ids.length)).toEqual(slices.map((s) => s.lineTo - s.lineFrom));
      }),
    );
  });

  it.each([
    [1, 1],
    [40, 1],
    [41, 2],
    [2_000, 50],
    [50_000, 1_000],
  ])('cuts %d lines into shards of %d when nobody says', (lines, per) => {
    expect(defaultLinesPerShard(lines)).toBe(per);
  });
});

describe('a batch is refused', () => {
  const ok = line('ok');
  it.each([
    ['no JSON', `${ok}\n\n{oops`, 3, 'Line 3 is not JSON'],
    ['two objects on a line', `${ok} ${line('b')}`, 1, 'Line 1 is not JSON'],
    ['a foreign space before the object', `${ok}\n\u00a0${line('b')}`, 2, 'Line 2 is not JSON'],
    ['a byte order mark in the middle', `${ok}\n\ufeff${line('b')}`, 2, 'Line 2 is not JSON'],
    ['no object', `${ok}\n7`, 2, 'Line 2 '],
    ['null', 'null', 1, 'Line 1 '],
    ['a missing custom_id', `${ok}\n${ok.replace('"custom_id":"ok",', '')}`, 2, 'Line 2 custom_id'],
    ['an empty custom_id', line(''), 1, 'Line 1 custom_id'],
    ['a custom_id that is too long', line('x'.repeat(513)), 1, 'Line 1 custom_id'],
    ['another method', ok.replace('POST', 'GET'), 1, 'Line 1 method'],
    ['an unknown url', ok.replace('embeddings', 'images'), 1, 'Line 1 url'],
    ['an unknown field', ok.replace('"method"', '"extra":1,"method"'), 1, 'Line 1 '],
    ['a used custom_id', `${ok}\n${line('b')}\n\n${ok}`, 4, 'custom_id "ok" was used on line 1 already'],
    ['a used custom_id spelt with escapes', `${ok}\n${ok.replace('"ok"', '"\\u006fk"')}`, 2, 'was used on line 1'],
    ['another model', `${ok}\n${line('b', 't', 'other')}`, 2, 'asks for model "other" in a job for "universal'],
  ])('for %s, with the line', (_, text, number, message) => {
    const error = refusal(text);
    expect([error.kind, error.code]).toEqual(['invalid', 'invalid-batch-line']);
    expect(error.details).toMatchObject({ field: `line ${number}`, facts: { line: number } });
    expect(error.message).toContain(message);
  });

  it.each([['', '\n\n', ' \r\n', '\ufeff']].flat())('when it has no requests: %j', (text) => {
    expect(refusal(text)).toMatchObject({ code: 'empty-input', details: { field: 'spec.inputArtifactId' } });
  });

  it('for a line beyond 1 MiB, and not for one of exactly that', () => {
    const room = MAX_LINE_BYTES - Buffer.byteLength(line('a', ''));
    expect(plan(line('a', 'x'.repeat(room))).lines).toBe(1);
    expect(refusal(`${ok}\n${line('a', 'x'.repeat(room + 1))}`).message).toContain(
      'Line 2 is longer than 1048576 bytes',
    );
    expect(refusal(`${ok}\n${' '.repeat(MAX_LINE_BYTES + 1)}`).message).toContain('Line 2 is longer');
  });

  it('beyond 50,000 requests, and not with exactly that many', () => {
    const lines = Array.from({ length: MAX_BATCH_LINES }, (_, i) => line(`r${i}`));
    expect(plan(lines.join('\n'))).toMatchObject({ lines: 50_000 });
    const error = refusal(`${lines.join('\n')}\n\n${line('one more')}`);
    expect(error.message).toBe('Line 50002 is beyond the limit of 50000 requests');
  });
});
