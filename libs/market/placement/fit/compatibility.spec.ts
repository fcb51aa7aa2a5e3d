import { describe, expect, it } from '@jest/globals';
import type { Offer, OfferSoftware, Workload } from '#contracts';
import { rankList } from '../columns/rank.js';
import { rankingView } from '../explain/view.js';
import { contextWith, offerWith, workloadWith } from '../placement.fixture.js';
import { compatibility } from './compatibility.js';

const at = (needs: Workload['needs'], software?: OfferSoftware, over: Partial<Offer> = {}) =>
  compatibility(needs, offerWith({ ...(software ? { software } : {}), ...over }));

describe('compatibility', () => {
  it('asks nothing of machines where nothing is needed', () => {
    expect(at(undefined)).toEqual({ fails: false, shortfalls: [], unknown: [] });
  });

  it('refuses what is known to be too old, and only that', () => {
    expect(at({ cuda: '12.4' }, { driver: '550.54.14' }).fails).toBe(false);
    expect(at({ cuda: '12.4' }, { driver: '535.183.01' }).fails).toBe(true);
    expect(at({ cuda: '12.4' }, { cuda: '12.2' }).fails).toBe(true);
    expect(at({ cuda: '12.4' }, { cuda: '12.8', driver: '1' }).fails).toBe(false);
    expect(at({ driver: '550' }, { driver: '550.90' }).fails).toBe(false);
    expect(at({ cuda: '12.4' })).toMatchObject({ fails: false, unknown: ['driver'] });
    expect(at({ cuda: '99.0' }, { driver: '550' })).toMatchObject({ fails: false, unknown: ['driver'] });
    expect(at({ rocm: '6.2' }, { rocm: '6.1' }, { acceleratorVendor: 'amd' }).fails).toBe(true);
    expect(at({ rocm: '6.2' }, undefined, { acceleratorVendor: 'amd' }).unknown).toEqual(['ROCm']);
  });

  it('knows compute capability by the name of the accelerator, and other makers for what they are', () => {
    expect(at({ computeCapability: '8.9' }).fails).toBe(true);
    expect(at({ computeCapability: '8.0' })).toMatchObject({ fails: false, unknown: [] });
    expect(at({ computeCapability: '8.0' }, undefined, { accelerator: 'T4' }).fails).toBe(true);
    expect(at({ cuda: '12.4' }, undefined, { accelerator: 'MI300X', acceleratorVendor: 'amd' }).fails).toBe(true);
    expect(at({ rocm: '6.0' }).fails).toBe(true);
  });
});

describe('compatibility by the card alone', () => {
  const card = (accelerator: string, acceleratorVendor: Offer['acceleratorVendor'] = 'nvidia'): Partial<Offer> => ({
    accelerator,
    acceleratorVendor,
  });

  it('knows that no machine is older than its card', () => {
    expect(at({ cuda: '12.8' }, undefined, card('B200'))).toMatchObject({ fails: false, unknown: [] });
    expect(at({ cuda: '12.8.1', driver: '570' }, undefined, card('B200')).unknown).toEqual([]);
    expect(at({ cuda: '12.9' }, undefined, card('B200')).unknown).toEqual(['driver']);
    expect(at({ cuda: '11.8' }, undefined, card('L4')).unknown).toEqual([]);
    expect(at({ driver: '570.133.20' }, undefined, card('B200')).unknown).toEqual(['driver']);
    expect(at({ rocm: '7.0' }, undefined, card('MI355X', 'amd')).unknown).toEqual([]);
    expect(at({ rocm: '6.4' }, undefined, card('MI300X', 'amd')).unknown).toEqual(['ROCm']);
  });

  it('believes what is said of the machine more than its card', () => {
    expect(at({ cuda: '12.8' }, { driver: '565.57.01' }, card('B200')).fails).toBe(true);
    expect(at({ cuda: '12.8' }, { cuda: '12.7' }, card('B200')).fails).toBe(true);
  });

  it('refuses a card for which the toolkit makes no code any more, whatever its driver', () => {
    expect(at({ cuda: '13.0' }, { driver: '580.95.05', cuda: '13.0' }, card('V100-32GB-SXM')).shortfalls).toEqual([
      { what: 'CUDA', needed: '13.0', has: '12.9' },
    ]);
    expect(at({ cuda: '12.9.1' }, { driver: '580.95.05' }, card('V100-32GB-SXM')).fails).toBe(false);
    expect(at({ cuda: '13' }, undefined, card('P4')).fails).toBe(true);
    expect(at({ cuda: '13.0' }, undefined, card('T4'))).toMatchObject({ fails: false, unknown: ['driver'] });
  });

  it('tells each shortfall', () => {
    expect(at({ cuda: '12.8', driver: '560', computeCapability: '9.0' }, { driver: '550.54.14' }).shortfalls).toEqual([
      { what: 'driver', needed: '560', has: '550.54.14' },
      { what: 'compute capability', needed: '9.0', has: '8.0' },
      { what: 'driver', needed: '12.8', leastDriver: '570.26', has: '550.54.14' },
    ]);
    expect(at({ cuda: '12.8' }, undefined, card('MI300X', 'amd')).shortfalls).toEqual([
      { what: 'CUDA', needed: '12.8', has: null },
    ]);
  });
});

describe('placement by compatibility', () => {
  const old = offerWith({ id: 'old', software: { driver: '470.82.01' } });
  const fresh = offerWith({ id: 'fresh', software: { driver: '570.86.15' } });
  const unknown = offerWith({ id: 'unknown' });
  const workload = workloadWith({ needs: { cuda: '12.4' } });

  it('rejects by that dimension, believes the unknown less and says so', () => {
    const ranking = rankList([unknown, old, fresh], workload, contextWith());
    expect(ranking.rejections).toEqual({ compatibility: 1 });
    const { candidates } = rankingView(ranking);
    expect(candidates.map((c) => c.offer.id)).toEqual(['fresh', 'unknown']);
    expect(candidates[0]?.offer.software).toEqual({ driver: '570.86.15', computeCapability: '8.0' });
    expect(candidates[1]?.reasons.join(' ')).toContain('Its driver is unknown, so it is believed less.');
    expect(ranking.ranked.map((r) => r.confidence)).toEqual([1, 0.9]);
  });

  it('says what to need less of when nothing else is in the way', () => {
    expect(rankList([old], workload, contextWith()).hints.join(' ')).toContain('Need less than CUDA 12.4');
  });

  it('keeps machines apart in the index that differ in software only', () => {
    const ids = (w: Workload) => rankList([old, fresh], w, contextWith()).ranked.map((r) => r.offer.id);
    expect(ids(workload)).toEqual(['fresh']);
    expect(ids(workloadWith())).toEqual(['fresh', 'old']);
  });
});
