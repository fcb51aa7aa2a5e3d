import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { usd } from '#kernel';
import type { Reserved } from '#market/placement';
import { plainTerms, priceOf } from '#money/rating';
import { capped } from './reserved.js';

const at = (perHour: bigint, basisPerHour: bigint): Reserved => ({
  reservationIds: ['rsv_1'],
  basisPerHour,
  otherwise: { providerId: 'prv_a', perHour },
});
const terms = (marginBps: number) => ({ ...plainTerms(0), marginBps });
const offer = { providerId: 'prv_b' };

describe('the price of a reserved machine', () => {
  it('is no more than on the terms of what would have been taken otherwise', async () => {
    const found = await capped(at(usd('1'), usd('1')), { offer, terms: terms(3_000) }, () => Promise.resolve(terms(0)));
    const charge = priceOf(found?.basisPerHour ?? 0n, terms(3_000));
    expect(charge).toBeLessThanOrEqual(usd('1'));
    expect(charge).toBeGreaterThan(usd('0.99999999'));
  });

  it('is that of the machine where less is not owed', async () => {
    const found = await capped(at(usd('2'), usd('1')), { offer, terms: terms(3_000) }, () => Promise.resolve(terms(0)));
    expect(found?.basisPerHour).toBe(usd('1'));
  });

  it('never rises, and is the most that is owed', async () => {
    const dollars = fc.bigInt({ min: 0n, max: usd('50') });
    const bps = fc.integer({ min: 0, max: 5_000 });
    await fc.assert(
      fc.asyncProperty(dollars, dollars, bps, bps, async (perHour, own, a, b) => {
        const basis = perHour < own ? perHour : own;
        const found = await capped(at(perHour, basis), { offer, terms: terms(b) }, () => Promise.resolve(terms(a)));
        const most = priceOf(perHour, terms(a));
        const of = found?.basisPerHour ?? -1n;
        expect(of >= 0n && of <= basis && priceOf(of, terms(b)) <= most).toBe(true);
        expect(of === basis || priceOf(of + 1n, terms(b)) > most).toBe(true);
      }),
    );
  });
});
