import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DAY, HOUR, usd } from '#kernel';
import { chargedByHour, commitmentBpsAt, shortfall, type Commitment, type Promised } from './index.js';

const START = Date.UTC(2026, 10, 1);
const MONTH = { fromMs: START, toMs: START + 30 * DAY, lengthMs: 30 * DAY };
const promise = (over: Partial<Commitment & Promised>): Commitment & Promised => ({
  projectId: null,
  per: 'month',
  amountNano: usd('720'),
  discountBps: 1_500,
  startsAt: START,
  endsAt: START + 365 * DAY,
  ...over,
});
const charge = (fromH: number, toH: number, dollars: string) => ({
  fromAt: START + fromH * HOUR,
  toAt: START + toH * HOUR,
  amountNano: usd(dollars),
});

describe('committed use', () => {
  it('gives its discount while it runs', () => {
    expect(commitmentBpsAt([promise({}), promise({ discountBps: 900 })], 'p', START)).toBe(1_500);
    expect(commitmentBpsAt([promise({})], 'p', START - 1)).toBe(0);
    expect(commitmentBpsAt([promise({ endsAt: START + 1 })], 'p', START + 1)).toBe(0);
  });

  it('of a project gives it to that project alone, and the better one counts', () => {
    const list = [promise({ projectId: 'p', discountBps: 2_000 }), promise({ discountBps: 900 })];
    expect(commitmentBpsAt(list, 'p', START)).toBe(2_000);
    expect(commitmentBpsAt(list, 'q', START)).toBe(900);
    expect(commitmentBpsAt(list.slice(0, 1), 'q', START)).toBe(0);
  });

  it('per month: what the month’s charges lack', () => {
    expect(shortfall(promise({}), MONTH, [charge(0, 10, '700')])).toBe(usd('20'));
    expect(shortfall(promise({}), MONTH, [charge(0, 10, '721')])).toBe(0n);
    expect(shortfall(promise({ startsAt: START + 15 * DAY }), MONTH, [])).toBe(usd('360'));
    expect(shortfall(promise({ endsAt: START }), MONTH, [])).toBe(0n);
  });

  it('per hour: a full hour does not pay for an empty one', () => {
    const day = { fromMs: START, toMs: START + 4 * HOUR, lengthMs: 30 * DAY };
    const hourly = promise({ per: 'hour', amountNano: usd('1') });
    expect(shortfall(hourly, day, [charge(0, 2, '8')])).toBe(usd('2'));
    expect(shortfall(hourly, day, [charge(0.5, 1.5, '1')])).toBe(usd('3'));
    expect(shortfall({ ...hourly, endsAt: START + 1.5 * HOUR }, day, [])).toBe(usd('1.5'));
  });

  it('splits charges over hours without losing or making a nano-dollar', () => {
    const interval = fc.record({
      fromAt: fc.nat(10 * HOUR).map((n) => START + n),
      ms: fc.integer({ min: 1, max: 5 * HOUR }),
      amountNano: fc.bigInt({ min: 0n, max: usd('10') }),
    });
    fc.assert(
      fc.property(fc.array(interval), (list) => {
        const charges = list.map((c) => ({ ...c, toAt: c.fromAt + c.ms }));
        const hours = chargedByHour(charges, START, START + 20 * HOUR);
        expect(hours.reduce((a, h) => a + h, 0n)).toBe(charges.reduce((a, c) => a + c.amountNano, 0n));
        expect(hours.every((h) => h >= 0n)).toBe(true);
      }),
    );
  });
});
