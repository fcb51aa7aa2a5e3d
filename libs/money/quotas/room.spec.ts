import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { claimedBeside, roomOf, thresholdOf, windowAfter, windowsBetween, windowStart } from './room.js';
import type { QuotaWindow } from './quotas.table.js';

const share = (
  limitN: bigint,
  used = 0n,
  { borrowing = null, lending = null }: { borrowing?: bigint | null; lending?: bigint | null } = {},
) => ({ limitN, used, borrowingLimit: borrowing, lendingLimit: lending });

describe('the room that is left', () => {
  it('is the limit less the use, and below zero where the limit was lowered', () => {
    expect(roomOf(share(10n, 4n), null)).toBe(6n);
    expect(roomOf(share(10n, 14n), null)).toBe(-4n);
    // What owners of a cohort claim says nothing to one that is in none.
    expect(roomOf(share(10n, 4n), null, 100n)).toBe(6n);
  });

  it('is all that nobody uses of a cohort, its own part included', () => {
    const own = share(10n, 3n);
    expect(roomOf(own, [own, share(20n, 5n)])).toBe(22n);
    // Who took more than it has took it from the pool.
    expect(roomOf(own, [own, share(5n, 7n)])).toBe(5n);
  });

  it('ends at the own limit and what may be borrowed', () => {
    const own = share(10n, 3n, { borrowing: 4n });
    expect(roomOf(own, [own, share(20n, 5n)])).toBe(11n);
    // The pool is smaller than that.
    expect(roomOf(own, [own, share(20n, 19n)])).toBe(8n);
    const none = share(10n, 3n, { borrowing: 0n });
    expect(roomOf(none, [none, share(20n)])).toBe(7n);
  });

  it('is the guaranteed part even where others have used up all that is lent', () => {
    const own = share(10n, 3n, { lending: 6n });
    const greedy = share(5n, 11n);
    // 4 are guaranteed, of which 3 are used; the others took all of the 11 that are lent.
    expect(roomOf(own, [own, greedy])).toBe(1n);
    const beyond = share(10n, 6n, { lending: 6n });
    expect(roomOf(beyond, [beyond, greedy])).toBe(-2n);
    expect(roomOf(own, [own, share(5n, 2n)])).toBe(10n);
  });

  it('lends no more than the limit, whatever the lending limit says', () => {
    const own = share(10n, 10n);
    expect(roomOf(own, [own, share(5n, 0n, { lending: 50n })])).toBe(5n);
    expect(roomOf(own, [own, share(5n, 0n, { lending: 0n })])).toBe(0n);
  });

  it('leaves to owners what they have claimed back, of what would be borrowed only', () => {
    const own = share(10n, 10n);
    const other = share(20n, 12n);
    expect(roomOf(own, [own, other])).toBe(8n);
    expect(roomOf(own, [own, other], 3n)).toBe(5n);
    const idle = share(10n, 0n);
    expect(roomOf(idle, [idle, other], 100n)).toBe(10n);
  });

  it('never gives out more in a cohort than its limits together', () => {
    const member = fc.record({
      limitN: fc.bigInt({ min: 0n, max: 50n }),
      used: fc.constant(0n),
      borrowingLimit: fc.option(fc.bigInt({ min: 0n, max: 50n })),
      lendingLimit: fc.option(fc.bigInt({ min: 0n, max: 50n })),
    });
    const asks = fc.array(fc.record({ who: fc.nat(), n: fc.bigInt({ min: 1n, max: 20n }) }), { maxLength: 60 });
    fc.assert(
      fc.property(fc.array(member, { minLength: 1, maxLength: 5 }), asks, (members, list) => {
        const cohort = members.map((m) => ({ ...m }));
        for (const { who, n } of list) {
          const own = cohort[who % cohort.length];
          if (own && roomOf(own, cohort) >= n) own.used += n;
        }
        const sum = (of: (m: (typeof cohort)[number]) => bigint): bigint => cohort.reduce((a, m) => a + of(m), 0n);
        expect(sum((m) => m.used)).toBeLessThanOrEqual(sum((m) => m.limitN));
        for (const m of cohort)
          if (m.borrowingLimit !== null) expect(m.used).toBeLessThanOrEqual(m.limitN + m.borrowingLimit);
      }),
    );
  });
});

describe('what owners claim back', () => {
  const wants = (id: string, wantedN: bigint, wantedUntil: number | null, used = 0n) => ({
    ...share(10n, used),
    id,
    wantedN,
    wantedUntil,
  });

  it('is what each other member lacks of its own part, for as long as it wants it', () => {
    const cohort = [wants('a', 4n, 101), wants('b', 3n, 101), wants('c', 2n, 100), wants('d', 1n, null)];
    expect(claimedBeside('x', cohort, 100)).toBe(7n);
    expect(claimedBeside('a', cohort, 100)).toBe(3n);
    expect(claimedBeside('x', cohort, 101)).toBe(0n);
  });

  it('is never more than the part, and nothing of one that has more than its own', () => {
    expect(claimedBeside('x', [wants('a', 9n, 1, 8n)], 0)).toBe(2n);
    expect(claimedBeside('x', [wants('a', 9n, 1, 14n)], 0)).toBe(0n);
    expect(claimedBeside('x', [wants('a', 9n, null)], -1)).toBe(9n);
  });
});

describe('windows', () => {
  const at = Date.UTC(2026, 1, 17, 13, 45, 12, 345);
  const starts: readonly [QuotaWindow, number][] = [
    ['ever', 0],
    ['minute', Date.UTC(2026, 1, 17, 13, 45)],
    ['hour', Date.UTC(2026, 1, 17, 13)],
    ['day', Date.UTC(2026, 1, 17)],
    ['month', Date.UTC(2026, 1)],
  ];

  it.each(starts)('per %s begin where the calendar says', (per, start) => {
    expect(windowStart(per, at)).toBe(start);
    expect(windowStart(per, start)).toBe(start);
    if (per !== 'ever') expect(windowStart(per, start - 1)).toBeLessThan(start);
  });

  it('are counted from one to another, months by the calendar', () => {
    const from = Date.UTC(2026, 10, 1);
    expect(windowsBetween('ever', 0, from)).toBe(0);
    expect(windowsBetween('minute', from, from + 90 * 60_000)).toBe(90);
    expect(windowsBetween('hour', from, from + 5 * 3_600_000)).toBe(5);
    expect(windowsBetween('day', from, from + 7 * 86_400_000)).toBe(7);
    expect(windowsBetween('month', from, Date.UTC(2027, 1, 1))).toBe(3);
    expect(windowsBetween('month', from, Date.UTC(2028, 10, 1))).toBe(24);
  });

  it('follow each other, over the end of a year and over short months', () => {
    const from = Date.UTC(2026, 10, 1);
    expect(windowAfter('ever', 0, 5)).toBe(0);
    expect(windowAfter('minute', from, 3)).toBe(from + 180_000);
    expect(windowAfter('hour', from, 3)).toBe(from + 3 * 3_600_000);
    expect(windowAfter('day', from, 3)).toBe(from + 3 * 86_400_000);
    expect(windowAfter('month', from, 1)).toBe(Date.UTC(2026, 11, 1));
    expect(windowAfter('month', from, 4)).toBe(Date.UTC(2027, 2, 1));
  });

  it('count back what they were counted forward', () => {
    const per = fc.constantFrom<QuotaWindow[]>('minute', 'hour', 'day', 'month');
    fc.assert(
      fc.property(per, fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 0, max: 500 }), (p, ms, n) => {
        const start = windowStart(p, ms);
        const later = windowAfter(p, start, n);
        expect(windowStart(p, later)).toBe(later);
        expect(windowsBetween(p, start, later)).toBe(n);
      }),
    );
  });
});

describe('the threshold that a use has reached', () => {
  it.each([
    [-5n, 10n, 0],
    [0n, 10n, 0],
    [0n, 0n, 0],
    [49n, 100n, 0],
    [50n, 100n, 50],
    [79n, 100n, 50],
    [80n, 100n, 80],
    [99n, 100n, 80],
    [100n, 100n, 100],
    [250n, 100n, 100],
    [1n, 0n, 100],
  ] as const)('is of %s in %s: %s', (used, limit, reached) => {
    expect(thresholdOf(used, limit)).toBe(reached);
  });
});
