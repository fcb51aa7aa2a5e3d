import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { OfferList, type Listing } from './offer-list.js';

const AT = Date.UTC(2026, 10, 1);
const listing = (over: Partial<Listing> = {}): Listing => ({
  provider: 'acme',
  providerKind: 'bare-metal',
  sku: 'm1',
  region: 'r1',
  country: null,
  accelerator: 'T4',
  count: 1,
  statedVramGiB: null,
  interconnect: { intraNode: 'none', intraNodeGBps: null, interNode: 'unknown', interNodeGbps: null },
  vcpus: null,
  ramGiB: null,
  pricing: 'on-demand',
  pricePerHour: 1_000_000_000n,
  billing: { minimumS: 60, incrementS: 60 },
  confidence: 1,
  ...over,
});

describe('the offers of one source', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('are numbered where one machine has several prices, and the same line counts once', () => {
    const list = new OfferList('s', AT);
    const lines = [
      {},
      { pricePerHour: 2_000_000_000n },
      {},
      { vcpus: 4 },
      { pricePerHour: 2_000_000_000n },
      { pricing: 'spot' },
    ] as const;
    lines.forEach((over, i) => {
      list.add(i + 1, listing(over));
    });
    const { offers, skipped } = list.result();
    expect(offers.map(({ id }) => id)).toEqual([
      's:acme/m1/r1/on-demand',
      's:acme/m1/r1/on-demand#2',
      's:acme/m1/r1/on-demand#3',
      's:acme/m1/r1/spot',
    ]);
    expect(skipped.map(({ line, reason }) => [line, reason])).toEqual([
      [3, 'repeats an earlier line (s:acme/m1/r1/on-demand)'],
      [5, 'repeats an earlier line (s:acme/m1/r1/on-demand#2)'],
    ]);
  });

  it('take as much work each, however many prices a machine has: a history of prices is no trap', () => {
    const list = new OfferList('s', AT);
    const looks = [jest.spyOn(Map.prototype, 'has'), jest.spyOn(Map.prototype, 'get')];
    const LINES = 400;
    for (let i = 1; i <= LINES; i++) list.add(i, listing({ pricePerHour: BigInt(i) * 1_000_000_000n }));
    const looked = looks.reduce((sum, spy) => sum + spy.mock.calls.length, 0);
    jest.restoreAllMocks();
    expect(list.result().offers).toHaveLength(LINES);
    expect(looked).toBeLessThan(LINES * 10);
  });

  it.each([Number.NaN, Infinity, -1, 1_025, 0.0004])('lack a line with %p accelerators', (count) => {
    const list = new OfferList('s', AT);
    list.add(7, listing({ count }));
    expect(list.result()).toMatchObject({
      offers: [],
      skipped: [{ line: 7, reason: `m1: a machine cannot have ${count} accelerators` }],
    });
  });
});
