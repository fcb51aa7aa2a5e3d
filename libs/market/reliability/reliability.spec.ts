import { describe, expect, it } from '@jest/globals';
import { pricingModels, providerKinds } from '#contracts';
import { defaultPriors, reliabilityOf, type Reliability } from './index.js';

const every: Reliability[] = providerKinds.flatMap((providerKind) =>
  pricingModels.map((pricing) => reliabilityOf({ providerKind, pricing, providerId: 'x' })),
);

describe('reliability priors', () => {
  it('has falling bands up to infinity and probabilities below one everywhere', () => {
    for (const r of every) {
      const bands = r.hazardPerHourByAge;
      expect(bands.at(-1)?.untilH).toBe(Infinity);
      for (let i = 1; i < bands.length; i++) {
        expect(bands[i]?.untilH).toBeGreaterThan(bands[i - 1]?.untilH ?? Infinity);
        expect(bands[i]?.perHour).toBeLessThan(bands[i - 1]?.perHour ?? 0);
      }
      expect(r.startFailureP).toBeGreaterThanOrEqual(0);
      expect(r.startFailureP).toBeLessThan(1);
      expect(r.bootBilledS).toBeLessThanOrEqual(r.bootS);
      expect(r.failedStartBilledS).toBeLessThanOrEqual(r.failedStartS);
    }
  });

  it('takes reserved machines as steady and spot as the least steady of its kind', () => {
    for (const providerKind of providerKinds) {
      const at = (pricing: (typeof pricingModels)[number]): Reliability =>
        reliabilityOf({ providerKind, pricing, providerId: 'x' });
      expect(at('reserved-3y')).toBe(at('on-demand'));
      expect(at('spot').hazardPerHourByAge[0]?.perHour).toBeGreaterThan(
        at('on-demand').hazardPerHourByAge[0]?.perHour ?? 9,
      );
    }
  });

  it('prefers the row of a provider, for its pricing model only', () => {
    const own: Reliability = { ...defaultPriors.byKind.decentralized.steady, startFailureP: 0.5 };
    const priors = { ...defaultPriors, byProvider: { 'prv_a/on-demand': own } };
    const query = { providerKind: 'decentralized', providerId: 'prv_a' } as const;
    expect(reliabilityOf({ ...query, pricing: 'on-demand' }, priors)).toBe(own);
    expect(reliabilityOf({ ...query, pricing: 'spot' }, priors)).toBe(defaultPriors.byKind.decentralized.spot);
  });

  it('boots a warm lease in no time, and a host in less than a new machine, as one object per answer', () => {
    const query = { providerKind: 'bare-metal', pricing: 'on-demand', providerId: 'x' } as const;
    const warm = reliabilityOf({ ...query, via: 'warm-lease' });
    expect(warm).toMatchObject({ bootS: 0, startFailureP: 0 });
    expect(reliabilityOf({ ...query, via: 'warm-lease' })).toBe(warm);
    expect(reliabilityOf({ ...query, via: 'host' }).bootS).toBeLessThan(reliabilityOf(query).bootS);
  });
});
