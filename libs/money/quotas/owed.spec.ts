import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId, SeededRandom } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { RateWindows } from './rate-windows.js';
import { quotaCount, quotaSet, quotaTake } from './quotas.procedures.js';
import { quotas, quotaWindows, type QuotaRow } from './quotas.table.js';
import { windowAfter, windowStart } from './room.js';

/** Pieces of work leave debts to later windows; what is counted by itself afterwards stands in the same windows. */
describe.each(specStores)('what a rate owes, $name', ({ name, open }) => {
  let opened: SpecStore;
  let till: Till;
  let now: number;
  const random = new SeededRandom(`owed ${name}`);
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, random);
    now = await till.tx((tx) => tx.now());
  });
  afterAll(() => opened.close());

  /** A limit of 10 of which 35 were used in the window that begins at `start`. */
  const indebted = async (
    { organizationId }: Tenant,
    per: QuotaRow['per'],
    start: number,
    mode: QuotaRow['mode'] = 'hard',
  ): Promise<string> => {
    const id = newId('quota', now, random);
    await till.tx(async (tx) => {
      await tx.call(quotaSet, {
        id,
        organizationId,
        projectId: null,
        keyId: null,
        scope: 'organization',
        scopeId: organizationId,
        dimension: 'tokens',
        per,
        limitN: 10n,
        mode,
        policy: 'keep',
        cohortId: null,
        borrowingLimit: null,
        lendingLimit: null,
        at: now,
      });
      await tx.update(quotas, { id }, { used: 35n, owed: 25n, alerted: 100, windowStart: start });
    });
    return id;
  };
  const get = async (id: string): Promise<QuotaRow> => {
    const row = await till.tx((tx) => tx.first(quotas, { id }));
    if (!row) throw new Error(`no quota ${id}`);
    return row;
  };
  const take = (tenant: Tenant, tokens: bigint, at: number) =>
    till.tx((tx) => tx.call(quotaTake, { holder: null, ...tenant, keyId: null, at, amounts: { tokens } }));

  it.each(quotaWindows.filter((per) => per !== 'ever'))('is worked off by the next windows: %s', async (per) => {
    const tenant = await till.tenant('0');
    const start = windowStart(per, now);
    const id = await indebted(tenant, per, start);
    const refused = (used: string, room: string) => ({ taken: false, refusal: { quotaId: id, used, room } });
    expect(await take(tenant, 1n, windowAfter(per, start, 1))).toMatchObject(refused('25', '0'));
    expect(await take(tenant, 1n, windowAfter(per, start, 2))).toMatchObject(refused('15', '0'));
    expect(await take(tenant, 6n, windowAfter(per, start, 3))).toMatchObject(refused('5', '5'));
    expect((await take(tenant, 5n, windowAfter(per, start, 3))).taken).toBe(true);
    expect(await get(id)).toMatchObject({ used: 10n, owed: 0n, windowStart: windowAfter(per, start, 3) });
    expect((await take(tenant, 10n, windowAfter(per, start, 4))).taken).toBe(true);
  });

  it('is written with what begins a window, and is not forgotten by what costs nothing', async () => {
    const tenant = await till.tenant('0');
    const start = windowStart('minute', now);
    const id = await indebted(tenant, 'minute', start);
    const next = windowAfter('minute', start, 1);
    expect((await take(tenant, 0n, next)).taken).toBe(true);
    expect(await get(id)).toMatchObject({ used: 25n, owed: 15n, alerted: 0, windowStart: next });
    const pieces = new RateWindows([await get(id)], windowAfter('minute', start, 2));
    const who = { id: 'job', sinceMs: start };
    expect(pieces.opensAt(who, [tenant.organizationId], { tokens: 1n })).toBe(windowAfter('minute', start, 3));
    expect(await take(tenant, 1n, windowAfter('minute', start, 2))).toMatchObject({ refusal: { used: '15' } });
  });

  it('holds for what is counted in one statement too', async () => {
    const tenant = await till.tenant('0');
    const { organizationId, projectId } = tenant;
    const month = windowStart('month', now);
    const count = (tokens: bigint) =>
      till.tx((tx) => tx.call(quotaCount, { organizationId, projectId, keyId: null, amounts: { tokens } }));
    const id = await indebted(tenant, 'month', windowAfter('month', month, -2));
    expect(await count(1n)).toMatchObject({ taken: false, refusal: { used: '15', room: '0', asked: '1' } });
    expect((await count(0n)).taken).toBe(true);
    expect(await get(id)).toMatchObject({ used: 15n, owed: 5n, windowStart: month });
    await till.tx((tx) =>
      tx.update(quotas, { id }, { used: 35n, owed: 25n, windowStart: windowAfter('month', month, -3) }),
    );
    expect(await count(6n)).toMatchObject({ taken: false, refusal: { used: '5', room: '5' } });
    expect((await count(5n)).taken).toBe(true);
    expect(await get(id)).toMatchObject({ used: 10n, owed: 0n, windowStart: month });
  });

  it('counts for the thresholds of a limit that is soft by now', async () => {
    const tenant = await till.tenant('0');
    const start = windowStart('day', now);
    const id = await indebted(tenant, 'day', start, 'soft');
    expect(await take(tenant, 1n, windowAfter('day', start, 3))).toMatchObject({
      taken: true,
      alerts: [{ quotaId: id, used: '6', percent: 50 }],
    });
    expect(await get(id)).toMatchObject({ used: 6n, owed: 0n, alerted: 50 });
  });
});
