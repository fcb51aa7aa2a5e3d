import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { plainTerms, priceOf, type ChargeTerms } from '#money/rating';
import { changeOf, priceToday, refusal, type Today } from './changes.js';
import { quoteWith, NOW } from './quotes.fixture.js';

const machine = quoteWith().offer;
const today = (over: Partial<Today> = {}): Today => ({
  offer: { machine, pricePerHour: 1_000_000_000n, unavailable: null },
  terms: plainTerms(1_000),
  ...over,
});
const gone = today({ offer: null });
const soldOut = today({ offer: { machine, pricePerHour: 1_000_000_000n, unavailable: 'no-stock' } });

describe('what keeps a quote from being taken', () => {
  it.each([
    ['nothing, as long as it is open', {}, today(), NOW, null],
    ['its end, to the millisecond', {}, today(), NOW + 600_000, 'expired'],
    ['nothing a millisecond before its end', {}, today(), NOW + 599_999, null],
    ['another job, whatever else', { jobId: 'job_2' }, gone, NOW + 600_000, 'used'],
    ['its offer is gone', {}, gone, NOW, 'offer-gone'],
    [
      'its offer is no longer rented out',
      {},
      today({ offer: { machine, pricePerHour: 1n, unavailable: 'not-rentable' } }),
      NOW,
      'offer-gone',
    ],
    ['its offer is sold out', {}, soldOut, NOW, 'out-of-stock'],
    [
      'its offer does not fit the work any more',
      {},
      today({ offer: { machine, pricePerHour: 1n, unavailable: 'country' } }),
      NOW,
      'offer-changed',
    ],
    [
      'its offer is another machine that would fit too',
      {},
      today({ offer: { machine: { ...machine, accelerator: 'T4' }, pricePerHour: 1n, unavailable: null } }),
      NOW,
      'offer-changed',
    ],
    [
      'its machine has less memory',
      {},
      today({ offer: { machine: { ...machine, ramGiB: 15 }, pricePerHour: 1n, unavailable: null } }),
      NOW,
      'offer-changed',
    ],
    [
      'nothing, where its machine has more memory',
      {},
      today({ offer: { machine: { ...machine, ramGiB: 17 }, pricePerHour: 1n, unavailable: null } }),
      NOW,
      null,
    ],
    ['a book with a higher margin', {}, today({ terms: plainTerms(1_001) }), NOW, 'price-changed'],
    ['a book with a lower margin', {}, today({ terms: plainTerms(999) }), NOW, 'price-changed'],
  ] as const)('%s', (_, over, now, atMs, expected) => {
    expect(changeOf(quoteWith(over), now, atMs)).toBe(expected);
  });

  it('never is the vendor’s own price', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 10n ** 15n), (pricePerHour) => {
        expect(changeOf(quoteWith(), today({ offer: { machine, pricePerHour, unavailable: null } }), NOW)).toBeNull();
      }),
    );
  });

  it('never is a book of another version, or other parts of it, that gives the same price', () => {
    const terms: ChargeTerms = {
      bookVersion: 7,
      marginBps: 1_000,
      discountBps: 0,
      leaseMinimumMs: 60_000,
      slaCreditBps: 9,
    };
    expect(changeOf(quoteWith(), today({ terms }), NOW)).toBeNull();
  });
});

it('quoted terms are their price, whatever the machine costs', () => {
  fc.assert(
    fc.property(
      fc.bigInt(0n, 10n ** 15n),
      fc.bigInt(0n, 10n ** 15n),
      fc.integer({ min: 0, max: 10_000 }),
      (cost, charge, bps) => {
        const quoted = { quoteId: 'qt_1', perHour: String(charge) };
        expect(priceOf(cost, { marginBps: bps, discountBps: bps, quoted })).toBe(charge);
      },
    ),
  );
});

describe('a refusal', () => {
  const text = (change: Parameters<typeof refusal>[1], at: Today, instead: Parameters<typeof refusal>[2]): string =>
    refusal(quoteWith({ jobId: change === 'used' ? 'job_2' : null }), change, priceToday(at, instead ?? null)).message;

  it('says what changed, the old price and the new one', () => {
    const dearer = today({ offer: { machine, pricePerHour: 2_000_000_000n, unavailable: null } });
    expect(text('expired', dearer, null)).toBe(
      'The quote was good until 2026-11-21T00:10:00.000Z. It was quoted at $1.10 an hour; now it costs $2.20.',
    );
    expect(text('price-changed', today({ terms: plainTerms(2_000) }), null)).toBe(
      'The price book changed since. It was quoted at $1.10 an hour; now it costs $1.20.',
    );
    const other = { name: 'b in r2', perHour: 3_000_000_000n };
    expect(text('offer-gone', gone, other)).toBe(
      'a in r1 is not offered any more. It was quoted at $1.10 an hour; the best that can be rented now is b in r2 at $3.00.',
    );
    expect(text('out-of-stock', soldOut, null)).toBe(
      'a in r1 cannot be had now. It was quoted at $1.10 an hour; nothing that can be rented now fits the same work.',
    );
  });

  it('is a conflict with both prices as facts', () => {
    expect(refusal(quoteWith(), 'expired', { name: null, perHour: 5n })).toMatchObject({
      kind: 'conflict',
      code: 'quote-expired',
      details: { field: 'quoteId', facts: { quotedPricePerHour: '1100000000', pricePerHour: '5' } },
    });
    expect(refusal(quoteWith({ jobId: 'job_2' }), 'used').message).toContain('job_2');
  });
});
