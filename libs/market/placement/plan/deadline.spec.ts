import { describe, expect, it } from '@jest/globals';
import type { Offer, Workload } from '#contracts';
import { usd } from '#kernel';
import { rankList } from '../columns/rank.js';
import type { Ranking } from '../columns/ranking.js';
import { contextWith, offerWith, perfect, priorsOf, workloadWith } from '../placement.fixture.js';
import { chooseByDeadline, type DeadlineChoice } from './deadline.js';

const context = contextWith({ reliability: priorsOf({ ...perfect, bootS: 600 }) });
const steady = offerWith({ id: 'steady', pricePerHour: usd('3') });
const spot = offerWith({ id: 'spot', pricing: 'spot', pricePerHour: usd('1') });

/** Two hours of work, and ten minutes of boot before it. */
function choice(
  offers: readonly Offer[],
  constraints: Workload['constraints'],
  atRiskS = 600,
): DeadlineChoice & { best: string | undefined } {
  const workload = workloadWith({ work: { kind: 'wall-hours', hours: 2 }, constraints, objective: 'cheapest' });
  const rank = (w: Workload): Ranking => rankList(offers, w, context);
  const chosen = chooseByDeadline(rank, workload, atRiskS);
  return { ...chosen, best: chosen.ranking.ranked[0]?.offer.id };
}
const needS = 2 * 3_600 + 600;

describe('choosing by a deadline', () => {
  it('takes what may be taken away while there is time for its boot, a loss and the whole work on demand', () => {
    const chosen = choice([steady, spot], { deadlineS: needS + 600 + 600 });
    expect([chosen.best, chosen.fallback?.offer.id, chosen.isLate]).toEqual(['spot', 'steady', false]);
    expect(chosen.fallback).toMatchObject({ startS: 600, workS: 7_200 });
  });

  it('takes the other one second later', () => {
    expect(choice([steady, spot], { deadlineS: needS + 600 + 599 })).toMatchObject({ best: 'steady', fallback: null });
    // All of a command is lost with its machine.
    expect(choice([steady, spot], { deadlineS: 2 * needS - 1 }, Infinity)).toMatchObject({ best: 'steady' });
    expect(choice([steady, spot], { deadlineS: 2 * needS }, Infinity)).toMatchObject({ best: 'spot' });
  });

  it('takes what is cheaper of both', () => {
    const dear = { ...spot, pricePerHour: usd('3.01') };
    expect(choice([steady, dear], { deadlineS: 1e6 })).toMatchObject({ best: 'steady', fallback: null, isLate: false });
  });

  it('keeps to the pricing that the tenant allows', () => {
    expect(choice([steady, spot], { deadlineS: 1e6, pricing: ['on-demand'] })).toMatchObject({ best: 'steady' });
    expect(choice([steady, spot], { deadlineS: 1e6, pricing: ['spot'] })).toMatchObject({
      best: 'spot',
      fallback: null,
      isLate: false,
    });
  });

  it('says late and takes the fastest where nothing is done in time', () => {
    const late = choice([steady, spot], { deadlineS: needS - 1 });
    expect([late.isLate, late.fallback]).toEqual([true, null]);
    expect(late.ranking.workload.objective).toBe('fastest');
    expect(choice([], { deadlineS: 1 })).toMatchObject({ best: undefined, isLate: false });
  });
});
