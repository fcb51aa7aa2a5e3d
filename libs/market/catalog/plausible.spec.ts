import { describe, expect, it } from '@jest/globals';
import { usd } from '#kernel';
import type { Offer } from '#contracts';
import { testOffer as offer } from './catalog.fixture.js';
import { implausible, normKey, type PriceNorm } from './plausible.js';

const norm = (offers: number): ReadonlyMap<string, PriceNorm> => {
  const of = { accelerator: 'A100-80GB-SXM', pricing: 'on-demand', median: usd('2'), offers };
  return new Map([[normKey(of), of]]);
};

/** Links as a file may make them, of whatever type. */
const links = (over: Readonly<Record<string, unknown>>): Offer['interconnect'] =>
  Object.assign({ ...offer(1).interconnect }, over);

describe('offers that cannot be true', () => {
  it.each<[string, Partial<Offer>]>([
    ['the price is zero', { pricePerHour: 0n }],
    ['the price is negative', { pricePerHour: -1n }],
    ['the price is above $100,000 an hour', { pricePerHour: usd('100001') }],
    ['the count of accelerators makes no sense', { count: Number.NaN }],
    ['the count of accelerators makes no sense', { count: -1 }],
    // A price is divided by thousandths of an accelerator.
    ['the count of accelerators makes no sense', { count: 0.0004 }],
    ['the count of accelerators makes no sense', { count: 0.0009 }],
    ['the speed of the network makes no sense', { interconnect: links({ interNodeGbps: Infinity }) }],
    ['the speed of the network makes no sense', { interconnect: links({ interNodeGbps: Object }) }],
    ['the speed between accelerators makes no sense', { interconnect: links({ intraNodeGBps: Number.NaN }) }],
    ['the memory of an accelerator makes no sense', { vramGiB: Infinity }],
    ['the id makes no sense', { id: 'x'.repeat(401) }],
    ['the id makes no sense', { id: 'a\0b' }],
    ['the text makes no sense', { doubts: ['half \ud800'] }],
    ['the time of observation makes no sense', { observedAtMs: Number.NaN }],
    ['the time of observation makes no sense', { observedAtMs: Date.parse('-000001-01-01T00:00:00Z') }],
    ['the time of observation makes no sense', { observedAtMs: Date.UTC(1999, 11, 31) }],
    ['the time of observation makes no sense', { observedAtMs: Date.parse('+010000-01-01T00:00:00Z') }],
    ['the stock makes no sense', { stock: 1.5 }],
    ['the memory of the machine makes no sense', { ramGiB: -4 }],
    ['the speed between accelerators makes no sense', { interconnect: links({ intraNodeGBps: 1e308 }) }],
    ['the link between accelerators makes no sense', { interconnect: links({ intraNode: 'warp' }) }],
    ['the network makes no sense', { interconnect: links({ interNode: undefined }) }],
    ['the billing makes no sense', { billing: { minimumS: 1e308, incrementS: 1 } }],
    ['the billing makes no sense', { billing: { minimumS: Number.NaN, incrementS: 1 } }],
    ['the billing makes no sense', { billing: { minimumS: -60, incrementS: 1 } }],
    ['the billing makes no sense', { billing: { minimumS: 0, incrementS: Infinity } }],
    ['the confidence makes no sense', { confidence: Number.NaN }],
    ['the confidence makes no sense', { confidence: 9 }],
    ['the pricing makes no sense', { pricing: 'barter' } as unknown as Partial<Offer>],
    ['the kind of the provider makes no sense', { providerKind: 'uncle' } as unknown as Partial<Offer>],
  ])('%s', (reason, over) => {
    expect(implausible(offer(1, over), new Map())).toBe(reason);
  });

  it('are those below a tenth or above ten times the median of comparable ones, by the accelerator', () => {
    const reasonOf = (price: string, over: Partial<Offer> = {}) =>
      implausible(offer(1, { pricePerHour: usd(price), ...over }), norm(5));
    expect(reasonOf('0.2')).toBeNull();
    expect(reasonOf('20')).toBeNull();
    expect(reasonOf('0.199')).toBe(
      '$0.199 per accelerator-hour is below a tenth of the median of 5 offers of A100-80GB-SXM (on-demand), $2.00',
    );
    expect(reasonOf('20.1')).toContain('above ten times');
    expect(reasonOf('160', { count: 8 })).toBeNull();
    expect(reasonOf('1.5', { count: 8 })).toContain('below a tenth');
    expect(reasonOf('0.1', { pricing: 'spot' })).toBeNull();
    expect(reasonOf('0.01', { count: 0, accelerator: 'CPU' })).toBeNull();
  });

  it('are not told by fewer than five', () => {
    expect(implausible(offer(1, { pricePerHour: 1n }), norm(4))).toBeNull();
  });
});
