import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { newId, SeededRandom, usd } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { holdCarve, holdExtend, holdRenewMany, holdSettle, holdTake } from './holds.procedures.js';
import { holds, quotas, type HoldRow } from './index.js';

/** What the functions answer and leave behind, call by call, among holds that are not meant. */
describe.each(specStores)('the functions of holds, $name', ({ name, open }) => {
  let opened: SpecStore;
  let till: Till;
  let tenant: Tenant;
  let n = 0;
  const random = new SeededRandom(`functions ${name}`);
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, random);
    // Holds of others, older and younger than those that are meant.
    for (const id of ['hold_00', 'hold_zz']) {
      const { organizationId, projectId } = await till.tenant('9');
      await take(id, '1', { organizationId, projectId });
    }
  });
  afterAll(() => opened.close());
  beforeEach(async () => {
    tenant = await till.tenant('10');
    n++;
  });

  const id = (mark: string): string => `hold_${String(n).padStart(2, '0')}_${mark}`;
  const take = (holdId: string, dollars: string, of: Tenant = tenant) =>
    till.tx((tx) =>
      tx.call(holdTake, {
        ...of,
        id: holdId,
        keyId: null,
        jobId: newId('job', 0, random),
        leaseId: null,
        amountNano: usd(dollars),
        at: 1_000,
        quotas: {},
      }),
    );
  const carve = (holdId: string, parentId: string, least: string, wanted: string) =>
    till.tx((tx) =>
      tx.call(holdCarve, {
        id: holdId,
        parentId,
        leaseId: newId('lease', 0, random),
        leastNano: usd(least),
        wantedNano: usd(wanted),
        at: 2_000,
      }),
    );
  const extend = (holdId: string, wantedNano: bigint) =>
    till.tx((tx) => tx.call(holdExtend, { id: holdId, wantedNano }));
  const settle = (holdId: string, as: 'settled' | 'released' | 'expired' = 'settled') =>
    till.tx((tx) => tx.call(holdSettle, { id: holdId, as, at: 3_000 }));
  const hold = async (holdId: string): Promise<HoldRow | null> => till.tx((tx) => tx.first(holds, { id: holdId }));
  const left = async (...ids: string[]): Promise<(bigint | undefined)[]> =>
    Promise.all(ids.map(async (one) => (await hold(one))?.remainingNano));
  const pockets = async (): Promise<bigint[]> => {
    const { availableNano, heldNano } = await till.tx((tx) => till.ledger.creditOf(tx, tenant.organizationId));
    return [availableNano, heldNano];
  };

  it('take: nothing at all where there is too little, and no limit is named', async () => {
    expect(await take(id('a'), '10.01')).toEqual({ taken: false, refusal: null, alerts: [] });
    expect(await hold(id('a'))).toBeNull();
    expect(await take(id('a'), '10')).toEqual({ taken: true, refusal: null, alerts: [] });
    expect(await pockets()).toEqual([0n, usd('10')]);
    expect(await hold(id('a'))).toMatchObject({
      ...tenant,
      parentId: null,
      leaseId: null,
      state: 'held',
      amountNano: usd('10'),
      remainingNano: usd('10'),
      createdAt: 1_000,
      endedAt: null,
    });
  });

  it('take: what costs nothing needs no credit, not even an account', async () => {
    const poor = await till.tenant('0');
    expect(await take(id('a'), '0', poor)).toEqual({ taken: true, refusal: null, alerts: [] });
    expect(await take(id('b'), '0.000000001', poor)).toEqual({ taken: false, refusal: null, alerts: [] });
  });

  it('carve: what is wanted as far as it is there, never less than the least', async () => {
    await take(id('a'), '5');
    expect(await carve(id('b'), id('a'), '1', '2')).toEqual({
      amountNano: usd('2'),
      organizationId: tenant.organizationId,
      projectId: tenant.projectId,
    });
    expect(await carve(id('c'), id('a'), '3', '9')).toMatchObject({ amountNano: usd('3') });
    const none = { amountNano: null, organizationId: null, projectId: null };
    expect(await carve(id('d'), id('a'), '0.01', '1')).toEqual(none);
    expect(await hold(id('d'))).toBeNull();
    expect(await left(id('a'), id('b'), id('c'))).toEqual([0n, usd('2'), usd('3')]);
    expect(await hold(id('b'))).toMatchObject({ parentId: id('a'), amountNano: usd('2'), createdAt: 2_000 });
    await settle(id('a'));
    expect(await carve(id('e'), id('a'), '0', '1')).toEqual(none);
  });

  it('extend: out of its own parent, as far as that reaches, and never backwards', async () => {
    await take(id('a'), '4');
    await take(id('x'), '4');
    await carve(id('b'), id('a'), '1', '1');
    expect(await extend(id('b'), usd('2'))).toEqual({ movedNano: usd('2') });
    expect(await extend(id('b'), -usd('1'))).toEqual({ movedNano: 0n });
    expect(await extend(id('b'), 0n)).toEqual({ movedNano: 0n });
    expect(await left(id('a'), id('b'), id('x'))).toEqual([usd('1'), usd('3'), usd('4')]);
    expect(await extend(id('b'), usd('2'))).toEqual({ movedNano: usd('1') });
    expect(await extend(id('b'), usd('2'))).toEqual({ movedNano: 0n });
    expect(await hold(id('b'))).toMatchObject({ amountNano: usd('4'), remainingNano: usd('4') });
    expect(await left(id('a'), id('x'))).toEqual([0n, usd('4')]);
  });

  it('extend: nothing of a parent that has ended, without one, or of a part that has ended', async () => {
    await take(id('a'), '4');
    await carve(id('b'), id('a'), '1', '1');
    expect(await extend(id('a'), usd('1'))).toEqual({ movedNano: 0n });
    await settle(id('a'));
    expect(await extend(id('b'), usd('1'))).toEqual({ movedNano: 0n });
    await settle(id('b'));
    expect(await extend(id('b'), usd('1'))).toEqual({ movedNano: 0n });
    expect(await pockets()).toEqual([usd('10'), 0n]);
  });

  it('settle: back to an open parent, else to the credit and to the windows of the hold above all', async () => {
    const { organizationId } = tenant;
    await till.tx((tx) =>
      till.quotas.set(tx, {
        organizationId,
        scope: 'organization',
        scopeId: organizationId,
        projectId: null,
        dimension: 'spend',
        per: 'month',
        limitN: usd('100'),
        mode: 'hard',
        policy: 'keep',
        cohort: null,
        borrowingLimit: null,
        lendingLimit: null,
      }),
    );
    const spent = async () => (await till.tx((tx) => tx.first(quotas, { organizationId })))?.used;
    await take(id('a'), '8');
    await carve(id('b'), id('a'), '6', '6');
    await carve(id('c'), id('b'), '4', '4');
    await carve(id('d'), id('c'), '1', '1');
    expect(await settle(id('d'))).toEqual({ restNano: usd('1') });
    expect(await left(id('a'), id('b'), id('c'), id('d'))).toEqual([usd('2'), usd('2'), usd('4'), 0n]);
    expect(await settle(id('a'))).toEqual({ restNano: usd('2') });
    expect(await settle(id('b'), 'released')).toEqual({ restNano: usd('2') });
    expect([await spent(), ...(await pockets())]).toEqual([usd('4'), usd('6'), usd('4')]);
    // Its parent is gone, and so is the one above: what is left was counted for the first of them.
    expect(await settle(id('c'), 'expired')).toEqual({ restNano: usd('4') });
    expect([await spent(), ...(await pockets())]).toEqual([0n, usd('10'), 0n]);
    expect(await settle(id('c'))).toEqual({ restNano: null });
    expect(await hold(id('c'))).toMatchObject({ state: 'expired', remainingNano: 0n, endedAt: 3_000 });
  });

  it('renew: parts in the order of their ids, until the parent has no more', async () => {
    await take(id('a'), '5');
    for (const part of ['d', 'c', 'b']) await carve(id(part), id('a'), '1', '1');
    const renewal = { pastNano: usd('1'), aheadNano: usd('1.5'), mostNano: usd('9') };
    const renewals = { [id('d')]: renewal, [id('b')]: renewal, [id('c')]: renewal };
    const { renewed } = await till.tx((tx) => tx.call(holdRenewMany, { renewals }));
    const shown = (moved: string, remaining: string) => ({
      movedNano: String(usd(moved)),
      remainingNano: String(usd(remaining)),
      parentNano: '0',
    });
    expect(renewed).toEqual({
      [id('b')]: shown('1.5', '2.5'),
      [id('c')]: shown('0.5', '1.5'),
      [id('d')]: shown('0', '1'),
    });
    expect(await left(id('a'), id('b'), id('c'), id('d'))).toEqual([0n, usd('2.5'), usd('1.5'), usd('1')]);
    expect(await hold(id('b'))).toMatchObject({ amountNano: usd('2.5') });
  });
});
