import { describe, expect, it } from '@jest/globals';
import type { Offer, OfferSoftware, Workload } from '#contracts';
import { rankList } from '../columns/rank.js';
import { contextWith, offerWith, workloadWith } from '../placement.fixture.js';
import { newestOf } from './software.js';

const offers = (software: readonly (OfferSoftware | undefined)[], over: Partial<Offer> = {}): Offer[] =>
  software.map((s, n) => offerWith({ id: `o${n}`, ...over, ...(s ? { software: s } : {}) }));
const told = (list: readonly Offer[], needs: Workload['needs']): readonly string[] =>
  rankList(list, workloadWith({ accelerator: { count: 1, models: ['A100'] }, needs }), contextWith()).contradictions;

describe('software that rules out everything', () => {
  const old = offers([{ driver: '535.183.01' }, { driver: '550.54.14' }, { driver: '470.82.01' }]);

  it('is named, with the newest that there is', () => {
    expect(told(old, { cuda: '12.8' })).toEqual([
      '1 x A100 with CUDA 12.8, which needs driver 570.26 or newer: the newest driver among the 3 offers that match otherwise is 550.54.14.',
    ]);
    expect(told(old, { driver: '560' })).toEqual([
      '1 x A100 with driver 560: the newest driver among the 3 offers that match otherwise is 550.54.14.',
    ]);
    expect(told(offers([{ cuda: '12.2' }, { cuda: '12.10' }, { cuda: '12.9' }]), { cuda: '13.0' })).toEqual([
      '1 x A100 with CUDA 13.0: the newest CUDA among the 3 offers that match otherwise is 12.10.',
    ]);
    expect(told(old.slice(0, 1), { cuda: '12.4', computeCapability: '9.0' })).toEqual([
      '1 x A100 with compute capability 9.0 and CUDA 12.4, which needs driver 550.54.14 or newer: ' +
        'the only offer that matches otherwise has compute capability 8.0, the only offer that matches otherwise has driver 535.183.01.',
    ]);
  });

  it("is named for another maker's cards", () => {
    expect(told(old, { rocm: '6.2' })).toEqual([
      '1 x A100 with ROCm 6.2: none of the 3 offers that match otherwise is of AMD.',
    ]);
    expect(told(old.slice(0, 1), { rocm: '6.2' })).toEqual([
      '1 x A100 with ROCm 6.2: the only offer that matches otherwise is not of AMD.',
    ]);
  });

  it('counts only offers that nothing else keeps out', () => {
    const elsewhere = offerWith({ id: 'e', region: 'eu-west1', software: { driver: '565.57.01' } });
    const workload = workloadWith({ needs: { cuda: '12.8' }, constraints: { regions: ['us-east1'] } });
    expect(rankList([...old, elsewhere], workload, contextWith()).contradictions[0]).toMatch(
      /3 offers .* 550\.54\.14\.$/,
    );
  });

  it('says nothing where an offer may do', () => {
    expect(told([...old, offerWith({ id: 'unknown' })], { cuda: '12.8' })).toEqual([]);
  });
});

describe('newestOf', () => {
  it('prefers a version to none, and the later one', () => {
    const lack = (has: string | null) => ({ what: 'CUDA', needed: '13.0', has }) as const;
    expect(newestOf([lack(null), lack('12.9'), lack('12.10'), lack('12.2')])).toEqual([lack('12.10')]);
    expect(newestOf([lack(null), lack(null)])).toEqual([lack(null)]);
    expect(newestOf([])).toEqual([]);
  });
});
