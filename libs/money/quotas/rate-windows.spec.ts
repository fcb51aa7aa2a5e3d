import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CLAIM_MS, RateWindows, type RateRow } from './rate-windows.js';
import { windowAfter, windowsBetween, windowStart } from './room.js';
import { quotaWindows } from './quotas.table.js';

const T0 = Date.UTC(2026, 10, 21);
const MINUTE = 60_000;
const SCOPE = 'org';

const limitOf = (limitN: bigint, over: Partial<RateRow> = {}): RateRow => ({
  id: 'quota',
  scope: 'organization',
  scopeId: SCOPE,
  dimension: 'tokens',
  per: 'minute',
  limitN,
  mode: 'hard',
  used: 0n,
  owed: 0n,
  claims: [],
  windowStart: T0,
  alerted: 0,
  ...over,
});

/** Limits that remember between looks, as their rows do. */
class Limits {
  constructor(private rows: readonly RateRow[]) {}
  admit(id: string, sinceMs: number, amount: bigint, nowMs: number, scopes: readonly string[] = [SCOPE]): boolean {
    const windows = new RateWindows(this.rows, nowMs);
    const goes = windows.admit({ id, sinceMs }, scopes, { tokens: amount });
    const kept = new Map(windows.counted().rows.map((row) => [row.id, row]));
    this.rows = this.rows.map((row) => ({ ...row, ...kept.get(row.id) }));
    return goes;
  }
  opensAt(id: string, sinceMs: number, amount: bigint, nowMs: number): number {
    return new RateWindows(this.rows, nowMs).opensAt({ id, sinceMs }, [SCOPE], { tokens: amount });
  }
}

const amount = fc.bigInt({ min: 1n, max: 400n });

describe('a limit on pieces of work', () => {
  it('lets no more through in any span of windows than their limits and the largest piece', () => {
    const ask = fc.record({ id: fc.constantFrom('a', 'b', 'c'), amount, afterMs: fc.integer({ min: 0, max: 90_000 }) });
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 100n }), fc.array(ask, { maxLength: 60 }), (limitN, asks) => {
        const limits = new Limits([limitOf(limitN)]);
        const went: bigint[] = [];
        let [now, largest] = [T0, 0n];
        for (const { id, amount: n, afterMs } of asks) {
          now += afterMs;
          if (!limits.admit(id, T0, n, now)) continue;
          const minute = Math.floor((now - T0) / MINUTE);
          went[minute] = (went[minute] ?? 0n) + n;
          largest = n > largest ? n : largest;
        }
        for (let from = 0; from < went.length; from++)
          for (let [to, sum] = [from, 0n]; to < went.length; to++) {
            sum += went[to] ?? 0n;
            if (sum > limitN * BigInt(to - from + 1) + largest) throw new Error(`minutes ${from} to ${to}: ${sum}`);
          }
      }),
      { numRuns: 200 },
    );
  });

  it('gives each waiter its turn in as many windows as the pieces before it need, whoever asks first each time', () => {
    const job = fc.record({ piece: amount, atMs: fc.integer({ min: 0, max: 4_999 }) });
    fc.assert(
      fc.property(fc.bigInt({ min: 20n, max: 100n }), fc.array(job, { minLength: 2, maxLength: 6 }), (limitN, jobs) => {
        const limits = new Limits([limitOf(limitN)]);
        // Each has pieces without end, and always asks at the same seconds: the same one is always the first.
        const last = jobs.map(() => T0);
        const round = jobs.reduce((n, { piece }) => n + piece, 0n);
        const bound = (2 + Number((round + 400n) / limitN)) * MINUTE;
        const asks = jobs.map((j, i) => ({ ...j, i })).sort((a, b) => a.atMs - b.atMs);
        let longest = 0;
        for (let tick = T0; tick < T0 + 2 * bound; tick += 20_000)
          for (const { i, piece, atMs } of asks) {
            const now = tick + atMs;
            while (limits.admit(String(i), last[i] ?? T0, piece, now)) last[i] = now;
            longest = Math.max(longest, now - (last[i] ?? T0));
          }
        expect(longest).toBeLessThanOrEqual(bound);
      }),
      { numRuns: 25 },
    );
  });

  it('says when a piece opens, and lets the first in line go just then', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 100n }), amount, amount, (limitN, first, next) => {
        const limits = new Limits([limitOf(limitN)]);
        limits.admit('a', T0, first, T0);
        const opens = limits.opensAt('b', T0, next, T0 + 1);
        expect(opens).toBe(first < limitN ? T0 + 1 : windowAfter('minute', T0, Number(first / limitN)));
        if (opens > T0 + 1) expect(limits.admit('b', T0, next, opens - 1)).toBe(false);
        expect(limits.admit('b', T0, next, opens)).toBe(true);
      }),
    );
    expect(new Limits([limitOf(0n)]).opensAt('a', T0, 1n, T0)).toBe(Infinity);
  });

  it('counts those that wait longer before who asks when it opens', () => {
    const limits = new Limits([limitOf(10n)]);
    limits.admit('a', T0, 10n, T0);
    limits.admit('b', T0 + 1, 25n, T0 + 2);
    expect(limits.opensAt('b', T0 + 1, 25n, T0 + 3)).toBe(T0 + MINUTE);
    expect(limits.opensAt('c', T0 + 2, 1n, T0 + 3)).toBe(T0 + 3 * MINUTE);
  });

  it('forgets the claim of who does not ask any more', () => {
    const limits = new Limits([limitOf(10n)]);
    limits.admit('a', T0, 10n, T0);
    expect(limits.admit('gone', T0, 10n, T0 + 1)).toBe(false);
    expect(limits.admit('b', T0 + 1, 10n, T0 + MINUTE)).toBe(false);
    expect(limits.admit('b', T0 + 1, 10n, T0 + CLAIM_MS)).toBe(false);
    expect(limits.admit('b', T0 + 1, 10n, T0 + CLAIM_MS + 1)).toBe(true);
  });

  it('that was lowered owes nothing for what was within it', () => {
    const limits = new Limits([limitOf(10n, { used: 1_000n })]);
    expect(limits.admit('a', T0, 1n, T0 + 1)).toBe(false);
    expect(limits.admit('a', T0, 1n, T0 + MINUTE)).toBe(true);
  });
});

describe('several limits on pieces of work', () => {
  const rows = [limitOf(10n, { id: 'k', scopeId: 'key' }), limitOf(10n, { id: 'p', scopeId: 'project' })];

  it('that fill in turn do not keep out who needs both', () => {
    const limits = new Limits(rows);
    let went = 0;
    for (let minute = 0; minute < 6; minute++) {
      const now = T0 + minute * MINUTE;
      // The others come first in each minute, and leave one of the two alone in turn.
      limits.admit(`other ${minute}`, now, 10n, now, [minute % 2 === 0 ? 'key' : 'project']);
      if (limits.admit('both', T0 - 1, 10n, now + 1, ['key', 'project'])) went++;
      limits.admit(`late ${minute}`, now, 10n, now + 2, [minute % 2 === 0 ? 'project' : 'key']);
    }
    expect(went).toBeGreaterThan(0);
  });

  it('are not kept empty by who waits for a longer one', () => {
    const month = limitOf(10n, {
      id: 'm',
      scopeId: 'project',
      per: 'month',
      used: 10n,
      windowStart: windowStart('month', T0),
    });
    const limits = new Limits([limitOf(10n), month]);
    expect(limits.admit('a', T0, 10n, T0, [SCOPE, 'project'])).toBe(false);
    expect(limits.admit('b', T0 + 1, 10n, T0 + 2, [SCOPE])).toBe(true);
  });
});

describe('windows', () => {
  it('are counted as they follow each other', () => {
    const per = fc.constantFrom(...quotaWindows.filter((w) => w !== 'ever'));
    fc.assert(
      fc.property(per, fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 0, max: 500 }), (w, ms, n) => {
        const start = windowStart(w, ms);
        const after = windowAfter(w, start, n);
        expect(windowStart(w, after)).toBe(after);
        expect(windowsBetween(w, start, after)).toBe(n);
      }),
    );
  });
});
