import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Offer } from '#contracts';
import { usd } from '#kernel';
import { anyContext, anyOffers, anyWorkload, offerWith } from '../placement.fixture.js';
import { buildOfferIndex, offerAt, OfferIndex } from './catalog-index.js';
import { rankOffers } from './rank.js';

const offersOf = (index: OfferIndex): Offer[] =>
  Array.from({ length: index.size }, (_, i) => offerAt(index, i)).sort((a, b) => (a.id < b.id ? -1 : 1));
const byId = (offers: Iterable<Offer>): Offer[] => [...offers].sort((a, b) => (a.id < b.id ? -1 : 1));

describe('the index of offers', () => {
  it('gives every offer back as it was, in every field', () => {
    fc.assert(
      fc.property(anyOffers, (offers) => {
        expect(offersOf(buildOfferIndex(offers))).toEqual(byId(new Map(offers.map((o) => [o.id, o])).values()));
      }),
    );
  });

  it.each<[string, Partial<Offer>]>([
    ['a price beyond what a double holds', { pricePerHour: 2n ** 60n + 1n }],
    ['a warm lease', { via: { kind: 'warm-lease', leaseId: 'lease_1', projectId: 'proj_1' } }],
    ['a host', { via: { kind: 'host', hostId: 'host_1' }, stock: 0 }],
    ['doubts', { doubts: ['too cheap', 'too far'] }],
    ['no place but a region', { zone: null, country: null }],
    ['certificates', { certifications: ['soc2', 'hipaa'] }],
  ])('keeps %s', (_, over) => {
    const offer = offerWith(over);
    expect(offerAt(buildOfferIndex([offerWith({ id: 'other' }), offer]), 1)).toEqual(offer);
  });

  it('tells two warm leases and two hosts apart', () => {
    const vias: Offer['via'][] = [
      { kind: 'warm-lease', leaseId: 'lease_1', projectId: 'proj_1' },
      { kind: 'warm-lease', leaseId: 'lease_2', projectId: 'proj_1' },
      { kind: 'host', hostId: 'host_1' },
      { kind: 'host', hostId: 'host_2' },
    ];
    const offers = vias.map((via, i) => offerWith({ id: `offer-${i}`, via }));
    expect(offersOf(buildOfferIndex(offers))).toEqual(offers);
  });

  it('is the same after any changes as if it were built from what is left', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anyOffers, fc.array(fc.nat(200), { maxLength: 20 })), { maxLength: 8 }),
        anyWorkload,
        anyContext,
        (changes, workload, context) => {
          const index = new OfferIndex();
          const left = new Map<string, Offer>();
          for (const [upserts, gone] of changes) {
            const known = [...left.keys()];
            const removedIds = gone.map((n) => known[n % Math.max(1, known.length)] ?? 'unknown');
            index.apply({ upserts, removedIds });
            for (const id of removedIds) left.delete(id);
            for (const o of upserts) left.set(o.id, o);
          }
          expect(offersOf(index)).toEqual(byId(left.values()));
          const { ranked, fitting, rejections, hints } = rankOffers(index, workload, context);
          const anew = rankOffers(buildOfferIndex([...left.values()]), workload, context);
          expect({ fitting, rejections, hints }).toEqual({
            fitting: anew.fitting,
            rejections: anew.rejections,
            hints: anew.hints,
          });
          expect(ranked.map((r) => [r.offer, r.cost])).toEqual(anew.ranked.map((r) => [r.offer, r.cost]));
        },
      ),
    );
  });

  it('forgets machines, places and sellers that nobody has any more', () => {
    const index = new OfferIndex();
    for (let round = 0; round < 40; round++) {
      const upserts = Array.from({ length: 100 }, (_, i) =>
        offerWith({ id: `offer-${i}`, region: `region-${round}-${i}`, providerId: `provider-${round}-${i}` }),
      );
      index.apply({ upserts, removedIds: [] });
    }
    expect(index.size).toBe(100);
    expect(index.places.length + index.sellers.length).toBeLessThan(2_500);
    expect(offerAt(index, 7).region).toBe('region-39-7');
    expect(index.sellers[index.seller[7] ?? -1]?.providerId).toBe('provider-39-7');
  });

  it('moves an exact price along with its offer', () => {
    const dear = offerWith({ id: 'dear', pricePerHour: 2n ** 60n + 1n });
    const index = buildOfferIndex([offerWith({ id: 'first' }), dear]);
    index.apply({ upserts: [], removedIds: ['first'] });
    expect(offersOf(index)).toEqual([dear]);
    index.apply({ upserts: [{ ...dear, pricePerHour: usd('3') }], removedIds: [] });
    expect(offerAt(index, 0).pricePerHour).toBe(usd('3'));
  });
});
