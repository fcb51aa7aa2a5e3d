import { describe, expect, it } from '@jest/globals';
import type { ComparedOffer, CostTerms, NearMissView, OfferView, PlacementView } from '#contracts';
import { explanationText } from './explanation.js';

const output = { json: false, quiet: false, csv: false, table: false };
const offer = (over: Partial<OfferView>): OfferView =>
  ({
    id: 'o',
    providerId: 'a-provider-with-a-long-name',
    sku: 'an-accelerated-machine-of-48xlarge-size',
    region: 'northamerica-northeast1',
    accelerator: 'A100-80GB-SXM',
    count: 8,
    pricing: 'reserved-1y',
    pricePerHour: '123456780000000',
    doubts: [],
    ...over,
  }) as OfferView;
const cost = (nano: bigint): CostTerms =>
  Object.fromEntries(
    [
      'compute',
      'restarts',
      'failedStarts',
      'coldStart',
      'billingWaste',
      'egress',
      'storage',
      'timeValue',
      'risk',
      'total',
    ].map((term) => [term, term === 'egress' ? '0' : nano.toString()]),
  ) as CostTerms;
const compared = (rank: number | null, id: string): ComparedOffer => ({
  rank,
  offer: offer({ id }),
  expectedS: 90_000,
  cost: cost(98_765_432_100_000n),
  difference: cost(-12_345_678_900_000n),
  because: 'words '.repeat(40).trim(),
});
const miss: NearMissView = {
  dimension: 'certification',
  offers: 123_456,
  nearest: {
    offer: offer({ doubts: ['the region has no such machine'] }),
    expectedS: 1,
    cost: cost(98_765_432_100_000n),
    wouldRank: 1,
  },
  change: 'drop a certificate of soc2, hipaa',
};
const decision = (explanation: Partial<NonNullable<PlacementView['explanation']>>): PlacementView =>
  ({
    candidates: [{ rank: 1, offer: offer({}), expectedS: 3_600, cost: cost(1_000_000_000n) }],
    explanation: { runnerUp: null, cheaperListed: null, nearMisses: [], ...explanation },
  }) as unknown as PlacementView;

describe('an explanation on a terminal', () => {
  const text = explanationText(
    decision({ runnerUp: compared(2, 'second'), cheaperListed: compared(null, 'third'), nearMisses: [miss] }),
    output,
  );
  const planned = (afterS: number | null): string =>
    explanationText(
      {
        ...decision({ runnerUp: compared(2, 'second') }),
        plan: {
          premium: 0.3,
          tries: [
            {
              rank: 1,
              offerId: 'o',
              domain: 'a-provider-with-a-long-name/northamerica-northeast1',
              providerKind: 'decentralized',
              startFails: 0.15,
              ready: { p50S: 1_490, p90S: 2_800 },
              hedge: {
                with: 'second',
                afterS,
                likely: 0.5,
                savesS: 1_200,
                worthNano: '12345670000000',
                costNano: '9876540000000',
              },
            },
          ],
          fallback: [
            { providerKind: 'bare-metal', rank: 2 },
            { providerKind: 'hyperscaler', rank: null },
          ],
        },
      },
      output,
    );

  it('shows the order of tries, and when a second start pays', () => {
    expect(planned(300)).toMatch(/^#1 .* 15 % +25 min +47 min +after 5 min: \$9876\.54 for \$12345\.67$/m);
    expect(planned(null)).toContain('never: $9876.54 for $12345.67');
    expect(planned(300)).toContain('Behind them: bare-metal (#2), then hyperscaler (none kept).');
    expect(
      Math.max(
        ...planned(300)
          .split('\n')
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(100);
  });

  it('fits a hundred columns, however long the names and amounts', () => {
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it('has a line for each term that counts, with the differences signed', () => {
    expect(text).toMatch(/^billing waste +\$1\.00 +\$98765\.43 +-\$12345\.68 +\$98765\.43 +-\$12345\.68$/m);
    expect(text).not.toMatch(/^egress/m);
  });

  it('names what would win but for one dimension, and its doubts', () => {
    expect(text).toMatch(/Would win but for certification: drop a certificate .* no such\s+machine\)/);
  });

  it('shows an offer once that is both the runner-up and cheaper by list price', () => {
    const both = explanationText(
      decision({ runnerUp: compared(2, 'second'), cheaperListed: compared(2, 'second') }),
      output,
    );
    expect(both).not.toContain('LOWER LIST');
    expect(both).not.toContain('No other offer that fits has a lower price');
  });

  it('says what is missing', () => {
    expect(explanationText(decision({}), output)).toContain('Nothing else fits.');
    expect(explanationText({ candidates: [] } as unknown as PlacementView, output)).toContain('without an explanation');
  });
});
