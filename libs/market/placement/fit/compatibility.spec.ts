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
    expect(at(undefined)).toEqual({ fails: false, unknown: [] });
  });

  it('refuses what is known to be too old, and only that', () => {
    expect(at({ cuda: '12.4' }, { driver: '550.54.14' }).fails).toBe(false);
    expect(at({ cuda: '12.4' }, { driver: '535.183.01' }).fails).toBe(true);
    expect(at({ cuda: '12.4' }, { cuda: '12.2' }).fails).toBe(true);
    expect(at({ cuda: '12.4' }, { cuda: '12.8', driver: '1' }).fails).toBe(false);
    expect(at({ driver: '550' }, { driver: '550.90' }).fails).toBe(false);
    expect(at({ cuda: '12.4' })).toEqual({ fails: false, unknown: ['driver'] });
    expect(at({ cuda: '99.0' }, { driver: '550' })).toEqual({ fails: false, unknown: ['driver'] });
    expect(at({ rocm: '6.2' }, { rocm: '6.1' }, { acceleratorVendor: 'amd' }).fails).toBe(true);
    expect(at({ rocm: '6.2' }, undefined, { acceleratorVendor: 'amd' }).unknown).toEqual(['ROCm']);
  });

  it('knows compute capability by the name of the accelerator, and other makers for what they are', () => {
    expect(at({ computeCapability: '8.9' }).fails).toBe(true);
    expect(at({ computeCapability: '8.0' })).toEqual({ fails: false, unknown: [] });
    expect(at({ computeCapability: '8.0' }, undefined, { accelerator: 'T4' }).fails).toBe(true);
    expect(at({ cuda: '12.4' }, undefined, { accelerator: 'MI300X', acceleratorVendor: 'amd' }).fails).toBe(true);
    expect(at({ rocm: '6.0' }).fails).toBe(true);
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
    expect(candidates[0]?.offer.software).toEqual({ driver: '570.86.15' });
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
