import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { systemRandom } from '#kernel';
import { WORKER, type Actor, type Tx } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import { Quotes, quotes } from './index.js';
import { quoteWith } from './quotes.fixture.js';

const none = (): Promise<never> => Promise.reject(new Error('taking a quote looks at nothing else'));

describe.each(specStores)('a quote $name', (kind) => {
  let on: SpecStore;
  let service: Quotes;
  let seq = 0;
  const tenant: Actor = { as: 'tenant', organizationId: 'org_1', projectIds: ['prj_1'] };

  beforeAll(async () => {
    on = await kind.open();
    service = new Quotes({
      store: on.store,
      placements: { preview: none, get: none, estimate: none, offerNow: none },
      providers: { priceBasis: none },
      prices: { termsFor: none },
      clock: on.clock,
      random: systemRandom,
    });
  });
  afterAll(() => on.close());

  async function quote(openMs = 600_000) {
    const row = quoteWith({ id: `qt_${++seq}`, createdAt: on.clock.now() - 1_000, expiresAt: on.clock.now() + openMs });
    await on.store.transaction(tenant, (tx) => tx.insert(quotes, row));
    return row;
  }
  const take = (
    row: Awaited<ReturnType<typeof quote>>,
    jobId: string,
    also?: (tx: Tx) => Promise<void>,
  ): Promise<void> =>
    on.store.transaction(tenant, async (tx) => {
      await service.take(tx, row, jobId);
      await also?.(tx);
    });

  it('comes back from the table as it went in', async () => {
    const row = await quote();
    expect(await on.store.transaction(tenant, (tx) => tx.first(quotes, { id: row.id }))).toEqual(row);
  });

  it('is used by one job, however many want it at once, and each of the others is told which one has it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 8 }), fc.integer({ min: 1, max: 3 }), async (wanting, many) => {
        const rows = await Promise.all(Array.from({ length: many }, () => quote()));
        const tries = rows.flatMap((row) => Array.from({ length: wanting }, () => ({ row, jobId: `job_${++seq}` })));
        const ends = await Promise.allSettled(tries.map(({ row, jobId }) => take(row, jobId)));
        for (const row of rows) {
          const mine = tries.flatMap((t, i) => (t.row === row ? [{ jobId: t.jobId, end: ends[i] }] : []));
          const [winner, ...more] = mine.filter(({ end }) => end?.status === 'fulfilled');
          expect(more).toEqual([]);
          const stored = await on.store.transaction(WORKER, (tx) => tx.first(quotes, { id: row.id }));
          expect(stored?.jobId).toBe(winner?.jobId);
          const told = mine.flatMap(({ end }) => (end?.status === 'rejected' ? [end.reason as unknown] : []));
          expect(told).toHaveLength(wanting - 1);
          for (const reason of told)
            expect(reason).toMatchObject({ code: 'quote-used', message: expect.stringContaining(`${winner?.jobId} `) });
        }
      }),
      { numRuns: 15 },
    );
  });

  it('is free again when the transaction of its job is undone', async () => {
    const row = await quote();
    const undone = take(row, 'job_undone', () => Promise.reject(new Error('too little credit')));
    await expect(undone).rejects.toThrow('too little credit');
    await take(row, `job_${++seq}`);
  });

  it('is not taken after its end', async () => {
    const row = await quote(-1);
    await expect(take(row, `job_${++seq}`)).rejects.toMatchObject({ kind: 'conflict', code: 'quote-expired' });
  });

  it('is not there for another tenant or another project', async () => {
    const row = await quote();
    const others: Actor[] = [
      { as: 'tenant', organizationId: 'org_2', projectIds: 'all' },
      { as: 'tenant', organizationId: 'org_1', projectIds: ['prj_2'] },
    ];
    for (const other of others) await expect(service.get(other, row.id)).rejects.toMatchObject({ kind: 'not-found' });
    const from = { organizationId: 'org_1', projectId: 'prj_2', quoteId: row.id };
    await expect(service.openFor(tenant, from)).rejects.toMatchObject({ kind: 'invalid', code: 'unknown-quote' });
  });

  it('keeps what was promised: a request may put a job to it, and change nothing else', async () => {
    if (on.postgres === null) return;
    const row = await quote();
    const cheaper = on.store.transaction(tenant, (tx) => tx.update(quotes, { id: row.id }, { chargePerHour: 1n }));
    await expect(cheaper).rejects.toThrow(/permission denied/);
  });
});
