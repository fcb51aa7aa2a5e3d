import { describe, expect, it } from '@jest/globals';
import { toOfferView, type Offer, type Workload } from '#contracts';
import { rankList } from '../columns/rank.js';
import { rankingView } from '../explain/view.js';
import { contextWith, offerWith, workloadWith } from '../placement.fixture.js';

const whole = offerWith({ id: 'whole', pricePerHour: 8_000_000_000n });
const part = { pricePerHour: 2_000_000_000n, count: 0.25, vramGiB: 20 } as const;
const mig = offerWith({ ...part, id: 'mig', isolation: 'mig' });
const slice = offerWith({ ...part, id: 'slice', isolation: 'time-slice' });
const unsaid = offerWith({ ...part, id: 'unsaid' });
const all: readonly Offer[] = [whole, mig, slice, unsaid];

type Wish = Partial<NonNullable<Workload['accelerator']>>;
const rank = (wish: Wish | null) =>
  rankList(all, workloadWith(wish === null ? {} : { accelerator: { count: 1, ...wish } }), contextWith());
const fitting = (wish: Wish | null): string[] =>
  rank(wish)
    .ranked.map((r) => r.offer.id)
    .toSorted();

describe('isolation', () => {
  it('is that of whole accelerators unless less is allowed, whatever a part costs', () => {
    expect(fitting({})).toEqual(['whole']);
    expect(fitting(null)).toEqual(['whole']);
    expect(rank({}).rejections).toEqual({ isolation: 3 });
  });

  it('is as little as the work allows: a part of which nobody says how it is cut counts as a time slice', () => {
    expect(fitting({ isolation: 'mig' })).toEqual(['mig', 'whole']);
    expect(fitting({ isolation: 'time-slice' })).toEqual(['mig', 'slice', 'unsaid', 'whole']);
    expect(fitting({ isolation: 'mig', minVramGiB: 24 })).toEqual(['whole']);
    expect(fitting({ isolation: 'mig', minVramGiB: 16 })).toEqual(['mig', 'whole']);
  });

  it('is never put together from parts: several accelerators are whole ones', () => {
    const eight = offerWith({ id: 'eight', count: 8 });
    const ranking = rankList(
      [...all, eight],
      workloadWith({ accelerator: { count: 2, isolation: 'time-slice' } }),
      contextWith(),
    );
    expect(ranking.ranked.map((r) => r.offer.id)).toEqual(['eight']);
    expect(ranking.rejections).toEqual({ count: 4 });
  });

  it('is said of each offer and of each candidate, and what to allow where nothing else is in the way', () => {
    expect(all.map((o) => toOfferView(o).isolation)).toEqual(['whole-gpu', 'mig', 'time-slice', 'unknown']);
    expect(toOfferView(offerWith({ accelerator: 'CPU', count: 0 })).isolation).toBeNull();
    const { candidates } = rankingView(rank({ isolation: 'time-slice' }));
    const reasons = (id: string): string => candidates.find((c) => c.offer.id === id)?.reasons.join(' ') ?? '';
    expect(reasons('mig')).toContain('memory and compute of its own in hardware');
    expect(reasons('slice')).toContain('nothing keeps memory or faults apart');
    expect(reasons('whole')).not.toContain('MIG');
    const none = rankList([mig], workloadWith({ accelerator: { count: 1 } }), contextWith());
    expect(none.hints.join(' ')).toContain('Allow parts of an accelerator');
  });

  it('keeps machines apart in the index that differ in nothing else', () => {
    const [a, b] = [
      { ...mig, id: 'a' },
      { ...slice, id: 'b' },
    ];
    const ranking = rankList([a, b], workloadWith({ accelerator: { count: 1, isolation: 'mig' } }), contextWith());
    expect(ranking.ranked.map((r) => r.offer.id)).toEqual(['a']);
  });
});
