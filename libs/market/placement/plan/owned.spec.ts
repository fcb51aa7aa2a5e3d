import { describe, expect, it } from '@jest/globals';
import { HOUR, usd } from '#kernel';
import type { OwnedMachines } from '../context.js';
import { contextWith, NOW, offerWith, workloadWith } from '../placement.fixture.js';
import { rankList } from '../columns/rank.js';
import { rankingView } from '../explain/view.js';
import type { DeadlineChoice } from './deadline.js';
import { chooseOwned, forTenant } from './owned.js';

const cheap = offerWith({ id: 'cheap', providerId: 'other', pricePerHour: usd('1') });
const dear = (n: number) => offerWith({ id: `dear-${n}`, pricePerHour: usd('4') + BigInt(n) });
const owning = (n: number, untilMs: number): OwnedMachines => ({
  offerId: `dear-${n}`,
  remainingMachines: 2,
  reservationId: `rsv-${n}`,
  untilMs,
});

/** The choice among the cheap offer and these, and how often everything was ranked for it. */
async function choose(owned: readonly OwnedMachines[], offers = [cheap, ...owned.map((_, n) => dear(n))]) {
  let looks = 0;
  const decide = (some: readonly OwnedMachines[]): Promise<DeadlineChoice> => {
    looks++;
    const ranking = rankList(offers, workloadWith(), contextWith({ owned: some }));
    return Promise.resolve({ ranking, fallback: null, isLate: false });
  };
  const found = await chooseOwned(decide, { owned, nowMs: NOW }, ({ ranked }) => ranked[0]);
  return { ...found, looks, best: found.choice.ranking.ranked[0] };
}

describe('a choice with reserved machines', () => {
  it('says what the work would have been done on, and at which price of the reserved machine', async () => {
    const { best, reserved } = await choose([owning(0, NOW + 1_000 * HOUR)]);
    expect(best?.offer.id).toBe('dear-0');
    expect(reserved).toMatchObject({ reservationIds: ['rsv-0'], otherwise: { providerId: 'other' } });
    expect(reserved?.basisPerHour).toBe(reserved?.otherwise?.perHour);
  });

  it('ranks once more where all reservations end too early, and a few times at most where they end one after the other', async () => {
    const soon = await choose(Array.from({ length: 20 }, (_, n) => owning(n, NOW + 1)));
    expect([soon.looks, soon.reserved, soon.best?.offer.id]).toEqual([2, null, 'cheap']);
    const mixed = await choose(Array.from({ length: 20 }, (_, n) => owning(n, NOW + (n === 19 ? 1_000 * HOUR : 1))));
    expect([mixed.looks, mixed.best?.offer.id]).toEqual([3, 'dear-19']);
  });

  it('is the same machine at its own price where it wins without being reserved', async () => {
    const { best, reserved } = await choose([owning(0, NOW + 1)], [dear(0)]);
    expect(best?.offer.id).toBe('dear-0');
    expect(reserved).toEqual({ reservationIds: ['rsv-0'], basisPerHour: usd('4'), otherwise: null });
  });

  it('is shown to its tenant at prices, without what is reserved or free', async () => {
    const { choice, best, reserved } = await choose([owning(0, NOW + 1_000 * HOUR), owning(1, NOW + 1_000 * HOUR)]);
    if (!best || !reserved) throw new Error('nothing reserved was chosen');
    const shown = forTenant(choice.ranking, best, reserved);
    expect([shown.context.owned, shown.firstIsReserved]).toEqual([[], true]);
    expect(shown.ranked.map((r) => r.offer.id)).toEqual([best.offer.id, 'cheap', 'dear-1']);
    expect(shown.ranked.every((r) => r.cost.compute > 0n)).toBe(true);
  });

  it('names the reservation, and no blocks of GPUs, where something else would count less', async () => {
    const { choice, best, reserved } = await choose([owning(0, NOW + 1_000 * HOUR)]);
    if (!best || !reserved) throw new Error('nothing reserved was chosen');
    const shown = forTenant(choice.ranking, best, { ...reserved, basisPerHour: usd('4') });
    const said = rankingView(shown).candidates[0]?.reasons.join(' ');
    expect(said).toContain('less, given up for a machine that the broker has reserved.');
    expect(said).not.toContain('blocks');
  });
});
