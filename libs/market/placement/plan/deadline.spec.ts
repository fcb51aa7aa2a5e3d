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
async function choice(
  offers: readonly Offer[],
  constraints: Workload['constraints'],
  atRiskS = 600,
): Promise<DeadlineChoice & { best: string | undefined }> {
  const workload = workloadWith({ work: { kind: 'wall-hours', hours: 2 }, constraints, objective: 'cheapest' });
  const rank = (w: Workload): Promise<Ranking> => Promise.resolve(rankList(offers, w, context));
  const chosen = await chooseByDeadline(rank, workload, atRiskS, (ranking) => ranking.ranked[0]);
  return { ...chosen, best: chosen.ranking.ranked[0]?.offer.id };
}
const needS = 2 * 3_600 + 600;
/** The same once it must be noticed first. */
const afterS = needS + 15;

describe('choosing by a deadline', () => {
  it('takes what may be taken away while there is time for its boot, a loss and the whole work on demand', async () => {
    const chosen = await choice([steady, spot], { deadlineS: afterS + 600 + 600 });
    expect([chosen.best, chosen.fallback?.offer.id, chosen.isLate]).toEqual(['spot', 'steady', false]);
    expect(chosen.fallback).toMatchObject({ startS: 615, workS: 7_200 });
  });

  it('takes the other one second later', async () => {
    expect(await choice([steady, spot], { deadlineS: afterS + 600 + 599 })).toMatchObject({
      best: 'steady',
      fallback: null,
    });
    // All of a command is lost with its machine.
    expect(await choice([steady, spot], { deadlineS: needS + afterS - 1 }, Infinity)).toMatchObject({ best: 'steady' });
    expect(await choice([steady, spot], { deadlineS: needS + afterS }, Infinity)).toMatchObject({ best: 'spot' });
  });

  it('takes what is cheaper of both', async () => {
    const dear = { ...spot, pricePerHour: usd('3.01') };
    expect(await choice([steady, dear], { deadlineS: 1e6 })).toMatchObject({
      best: 'steady',
      fallback: null,
      isLate: false,
    });
  });

  it('keeps to the pricing that the tenant allows', async () => {
    expect(await choice([steady, spot], { deadlineS: 1e6, pricing: ['on-demand'] })).toMatchObject({ best: 'steady' });
    expect(await choice([steady, spot], { deadlineS: 1e6, pricing: ['spot'] })).toMatchObject({
      best: 'spot',
      fallback: null,
      isLate: false,
    });
  });

  it('says late and takes the fastest where nothing is done in time', async () => {
    const late = await choice([steady, spot], { deadlineS: needS - 1 });
    expect([late.isLate, late.fallback]).toEqual([true, null]);
    expect(late.ranking.workload.objective).toBe('fastest');
    expect(await choice([], { deadlineS: 1 })).toMatchObject({ best: undefined, isLate: false });
  });
});
