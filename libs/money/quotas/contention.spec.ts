import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { usd } from '#kernel';
import { Gather, PgStore } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { holds, quotas, quotaUses, type HoldRequest, type HoldRow, type NewQuota } from './index.js';

const quotaOf = (tenant: Tenant, what: Pick<NewQuota, 'dimension' | 'per' | 'limitN'>): NewQuota => ({
  ...tenant,
  projectId: null,
  scope: 'organization',
  scopeId: tenant.organizationId,
  mode: 'hard',
  policy: 'keep',
  cohort: null,
  borrowingLimit: null,
  lendingLimit: null,
  ...what,
});

describe.each(specStores)('many who reserve, $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
  });
  afterAll(async () => opened.close());

  const budgetUse = async ({ organizationId }: Tenant): Promise<bigint | undefined> =>
    (await till.tx((tx) => tx.first(quotas, { organizationId, dimension: 'spend' })))?.used;

  it('200 at once against one budget never get a cent more than it, and nobody deadlocks', async () => {
    const tenant = await till.tenant('1000');
    await till.tx((tx) =>
      till.quotas.set(tx, quotaOf(tenant, { dimension: 'spend', per: 'month', limitN: usd('50') })),
    );
    const before = till.store instanceof PgStore ? till.store.counts.transactions : 0;
    const ask = () => till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd('0.37') }));
    const asked = await Promise.allSettled(Array.from({ length: 200 }, ask));
    const taken = asked.flatMap((a) => (a.status === 'fulfilled' ? [a.value] : []));
    expect(taken).toHaveLength(135);
    expect(await budgetUse(tenant)).toBe(135n * usd('0.37'));
    // Half of them give back while others ask on.
    const again = await Promise.allSettled([
      ...taken.slice(0, 70).map((h) => till.tx((tx) => till.holds.settle(tx, h.id))),
      ...Array.from({ length: 60 }, ask),
    ]);
    const more = again.slice(70).filter((a) => a.status === 'fulfilled').length;
    expect(await budgetUse(tenant)).toBe(BigInt(65 + more) * usd('0.37'));
    // A deadlock would have been tried again as a transaction of its own.
    if (till.store instanceof PgStore)
      expect(till.store.counts.transactions - before).toBeLessThanOrEqual(200 + 130 + 2);
    await till.audit();
  });

  it('one by one or grouped, each is taken or refused by itself', async () => {
    const tenant = await till.tenant('10');
    const together = new Gather<HoldRequest, HoldRow>((_, group) => till.tx((tx) => till.holds.takeMany(tx, group)));
    const asked = await Promise.allSettled(
      Array.from({ length: 60 }, (_, i) =>
        together.add('one tenant', { ...tenant, amountNano: usd(i % 2 === 0 ? '1' : '0.01') }),
      ),
    );
    const taken = asked.flatMap((a) => (a.status === 'fulfilled' ? [a.value.amountNano] : []));
    expect(taken.reduce((a, b) => a + b, 0n)).toBeLessThanOrEqual(usd('10'));
    expect(taken.filter((n) => n === usd('0.01'))).toHaveLength(30);
    for (const a of asked) if (a.status === 'rejected') expect(a.reason).toMatchObject({ code: 'insufficient-credit' });
    await till.audit();
  });

  it('many jobs with one hold: all or none of them, however many ask at once', async () => {
    const tenant = await till.tenant('1000');
    const limits = [
      { dimension: 'spend', per: 'month', limitN: usd('50') },
      { dimension: 'jobs-queued', per: 'ever', limitN: 1_000n },
    ] as const;
    for (const limit of limits) await till.tx((tx) => till.quotas.set(tx, quotaOf(tenant, limit)));
    // 20 jobs of $0.19 each: $3.80 together, so 13 of 40 fit.
    const jobs = (n: number) =>
      Array.from({ length: 20 }, (_, i) => ({ jobId: `job_${n}_${i}`, amountNano: usd('0.19') }));
    const asked = await Promise.allSettled(
      Array.from({ length: 40 }, (_, n) => till.tx((tx) => till.holds.takeShared(tx, tenant, jobs(n)))),
    );
    const taken = asked.flatMap((a) => (a.status === 'fulfilled' ? [a.value] : []));
    for (const a of asked) if (a.status === 'rejected') expect(a.reason).toMatchObject({ code: 'budget-exceeded' });
    expect(taken.map((parts) => parts.length)).toEqual(Array.from({ length: 13 }, () => 20));
    expect(await budgetUse(tenant)).toBe(13n * usd('3.8'));
    const queued = () =>
      till.tx((tx) => tx.first(quotas, { scopeId: tenant.organizationId, dimension: 'jobs-queued' }));
    expect((await queued())?.used).toBe(260n);
    // Each part stands alone: what it has left goes back when its own job ends, to the credit and to the budget.
    const parts = taken.flat();
    expect(new Set(parts.map((p) => p.parentId)).size).toBe(13);
    await Promise.all(parts.slice(0, 50).map((p) => till.tx((tx) => till.holds.settle(tx, p.id))));
    expect([await budgetUse(tenant), (await queued())?.used]).toEqual([210n * usd('0.19'), 210n]);
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, tenant.organizationId));
    expect(credit.heldNano).toBe(210n * usd('0.19'));
    await till.audit();
  });

  it('the parts of one hold count for the key that asked, and renew what is carved out of them', async () => {
    const tenant = await till.tenant('10');
    const [part] = await till.tx((tx) =>
      till.holds.takeShared(tx, { ...tenant, keyId: 'key_spec' }, [
        { jobId: 'job_1', amountNano: usd('3') },
        { jobId: 'job_2', amountNano: usd('4') },
      ]),
    );
    if (!part) throw new Error('no part');
    expect(part).toMatchObject({ jobId: 'job_1', remainingNano: usd('3'), state: 'held' });
    expect(await till.tx((tx) => tx.first(holds, { id: part.id }))).toEqual(part);
    expect(await till.tx((tx) => till.quotas.keyOf(tx, part.id))).toBe('key_spec');
    expect(await till.tx((tx) => till.quotas.keyOf(tx, 'hold_of_nobody'))).toBeNull();
    const lease = await till.tx((tx) => till.holds.carve(tx, part.id, 'lease_1', usd('1')));
    const renewal = { pastNano: usd('1'), aheadNano: usd('5'), mostNano: usd('9') };
    const renewed = await till.tx((tx) => till.holds.renewMany(tx, { [lease?.id ?? '']: renewal }));
    // No more than its own job has.
    expect(Object.values(renewed)).toEqual([
      { movedNano: String(usd('2')), remainingNano: String(usd('3')), parentNano: '0' },
    ]);
    await till.audit();
  });

  it('after any history of takes, carves, renewals, ends and new limits counters are what their holders hold', async () => {
    const step = fc.record({
      what: fc.constantFrom(
        'take',
        'take',
        'shared',
        'carve',
        'renew',
        'settle',
        'settle',
        'limit',
        'lease',
        'release',
      ),
      i: fc.nat(20),
      n: fc.bigInt({ min: 0n, max: 60n }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const tenant = await till.tenant('0');
        const { organizationId } = tenant;
        await till.tx((tx) => till.ledger.credit(tx, organizationId, 300n, 'grant', `grant:${organizationId}`));
        const taken: HoldRow[] = [];
        let limits = { spend: null as bigint | null, leases: null as bigint | null };
        // The model: what each root hold counts for in the budget, what is spent, and which leases are there.
        const counts = new Map<string, bigint>();
        const running = new Set<string>();
        for (const [at, { what, i, n }] of steps.entries()) {
          const hold = taken[i % Math.max(1, taken.length)];
          const spent = [...counts.values()].reduce((a, b) => a + b, 0n);
          if (what === 'take') {
            const credit = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
            const fits = n <= credit.availableNano && (limits.spend === null || n === 0n || spent + n <= limits.spend);
            const got = await till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: n })).catch(() => null);
            expect(got !== null).toBe(fits);
            if (!got) continue;
            taken.push(got);
            counts.set(got.id, n);
          } else if (what === 'shared') {
            const credit = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
            const sum = n + BigInt(i);
            const fits =
              sum <= credit.availableNano && (limits.spend === null || sum === 0n || spent + sum <= limits.spend);
            const jobs = [n, BigInt(i)].map((amountNano, k) => ({ jobId: `job_${at}_${k}`, amountNano }));
            const got = await till.tx((tx) => till.holds.takeShared(tx, tenant, jobs)).catch(() => null);
            expect(got?.map((part) => part.amountNano) ?? null).toEqual(fits ? [n, BigInt(i)] : null);
            if (!got) continue;
            taken.push(...got);
            counts.set(got[0]?.parentId ?? '', sum);
          } else if (what === 'limit') {
            const dimension = i % 2 === 0 ? 'spend' : 'leases';
            const limitN = dimension === 'spend' ? n * 4n : n / 10n;
            limits = { ...limits, [dimension]: limitN };
            const per = dimension === 'spend' ? 'month' : 'ever';
            await till.tx((tx) => till.quotas.set(tx, quotaOf(tenant, { dimension, per, limitN })));
          } else if (what === 'lease') {
            const holder = `${organizationId}/${at}`;
            const fits = limits.leases === null || BigInt(running.size) + 1n <= limits.leases;
            const amounts = { leases: 1n };
            const done = till.tx((tx) => till.quotas.take(tx, { ...tenant, holder }, amounts).then(() => true));
            expect(await done.catch(() => false)).toBe(fits);
            if (fits) running.add(holder);
          } else if (what === 'release') {
            const holder = [...running][i % Math.max(1, running.size)] ?? 'nobody';
            await till.tx((tx) => till.quotas.release(tx, holder, ['leases']));
            running.delete(holder);
          } else if (!hold) continue;
          else if (what === 'carve') {
            const part = await till.tx((tx) => till.holds.carve(tx, hold.id, 'lease_spec', n));
            if (part) taken.push(part);
          } else if (what === 'renew') {
            const ask = { [hold.id]: { pastNano: n, aheadNano: n, mostNano: 30n } };
            const first = await till.tx((tx) => till.holds.renewMany(tx, ask));
            const second = await till.tx((tx) => till.holds.renewMany(tx, ask));
            // Asked twice it moves no more, but where the bound has cut it short.
            if (BigInt(first[hold.id]?.remainingNano ?? 0n) >= n)
              expect(BigInt(second[hold.id]?.movedNano ?? 0n)).toBeLessThanOrEqual(n);
          } else if (what === 'settle') {
            await till.tx(async (tx) => {
              const root = await rootOf(tx, hold);
              const before = await openUnder(tx, organizationId);
              await till.holds.settle(tx, hold.id);
              // What leaves the open holds of the organization goes back to the root's budget.
              const back = before - (await openUnder(tx, organizationId));
              counts.set(root, (counts.get(root) ?? 0n) - back);
            });
          }
        }
        const rows = await till.tx((tx) => tx.find(quotas, { organizationId }));
        const uses = await till.tx((tx) => tx.find(quotaUses, { organizationId }));
        for (const q of rows) {
          const held = uses.filter((u) => u.dimension === q.dimension).reduce((a, u) => a + u.amount, 0n);
          expect([q.dimension, q.used]).toEqual([q.dimension, held]);
        }
        expect(
          uses
            .filter((u) => u.dimension === 'leases')
            .map((u) => u.holder)
            .toSorted(),
        ).toEqual([...running].toSorted());
        for (const u of uses)
          if (u.dimension === 'spend') expect([u.holder, u.amount]).toEqual([u.holder, counts.get(u.holder)]);
      }),
      { numRuns: opened.postgres ? 12 : 60 },
    );
    await till.audit();
  });

  type Reader = Parameters<Parameters<Till['tx']>[0]>[0];
  async function rootOf(tx: Reader, hold: HoldRow): Promise<string> {
    let at = hold;
    while (at.parentId !== null) at = (await tx.first(holds, { id: at.parentId })) ?? { ...at, parentId: null };
    return at.id;
  }
  async function openUnder(tx: Reader, organizationId: string): Promise<bigint> {
    const open = await tx.find(holds, { organizationId, state: 'held' });
    return open.reduce((a, h) => a + h.remainingNano, 0n);
  }
});
