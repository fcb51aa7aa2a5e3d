import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ManualClock } from '#kernel';
import { LineSplitter } from './line-splitter.js';
import { DEFAULT_LOG_LIMITS, LogBuffer } from './log-buffer.js';

const work = { workId: 'w', fence: 1 };

describe('log lines', () => {
  it('stay until a sync that carried them was answered, under the same numbers', () => {
    const logs = new LogBuffer(new ManualClock());
    for (const text of ['a', 'b', 'c']) logs.write(work, 'stdout', text);
    const sent = logs.batch();
    expect(logs.batch()).toEqual(sent);
    logs.write(work, 'stderr', 'd');
    logs.confirm(sent.length);
    expect(logs.batch().map((line) => [line.n, line.text])).toEqual([[3, 'd']]);
  });

  it('get numbers of their own in each run', () => {
    const logs = new LogBuffer(new ManualClock());
    logs.write(work, 'stdout', 'first');
    logs.begin(work, 1);
    logs.write(work, 'stdout', 'again');
    const [first, again] = logs.batch();
    expect(again?.n).toBeGreaterThan((first?.n ?? 0) + DEFAULT_LOG_LIMITS.workChars / 16);
  });

  it('are cut once and for all at the limit of a work', () => {
    const logs = new LogBuffer(new ManualClock(), { ...DEFAULT_LOG_LIMITS, workChars: 100 });
    for (let i = 0; i < 10; i++) logs.write(work, 'stdout', 'x'.repeat(20));
    expect(logs.batch().map((line) => line.stream)).toEqual(['stdout', 'stdout', 'agent']);
    logs.write({ workId: 'other', fence: 1 }, 'stdout', 'not concerned');
    expect(logs.size).toBe(4);
  });

  it('are dropped and counted when the broker is away for long', () => {
    const logs = new LogBuffer(new ManualClock(), { ...DEFAULT_LOG_LIMITS, waitingLines: 2 });
    for (let i = 0; i < 5; i++) logs.write(work, 'stdout', String(i));
    logs.confirm(2);
    logs.write(work, 'stdout', 'later');
    expect(logs.batch().map((line) => line.text)).toEqual([expect.stringContaining('3 lines were dropped'), 'later']);
  });

  it('leave in batches of bounded size', () => {
    const logs = new LogBuffer(new ManualClock(), { ...DEFAULT_LOG_LIMITS, batchBytes: 1_000 });
    for (let i = 0; i < 5; i++) logs.write(work, 'stdout', 'x'.repeat(300));
    expect(logs.batch().length).toBe(2);
  });
});

describe('splitting output into lines', () => {
  it('does not depend on how the bytes arrive', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), fc.array(fc.nat(5)), (texts, cuts) => {
        const bytes = Buffer.from(texts.join('\n'));
        const split = (sizes: readonly number[]): string[] => {
          const lines: string[] = [];
          const splitter = new LineSplitter((line) => lines.push(line), 20);
          let at = 0;
          for (const size of sizes) splitter.push(bytes.subarray(at, (at += size)));
          splitter.push(bytes.subarray(at));
          splitter.end();
          return lines;
        };
        const whole = split([]);
        expect(split(cuts).join('')).toBe(whole.join(''));
        expect(whole.every((line) => line.length <= 20)).toBe(true);
      }),
    );
  });
});
