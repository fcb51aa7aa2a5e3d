import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DAY, HOUR, newId, SeededRandom } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { foldUsage } from '../rollups.js';
import { usageRecords, type UsageRow } from '../usage.table.js';
import { usageEvents, usageUnattributed, type UnattributedRow } from './events.table.js';
import { EVENTS_KEPT_MS, forgetUsageEvents, unattributedWaiting } from './upkeep.js';
import { UsageEvents, type EventAnswer } from './usage-events.service.js';

/** What one event says, in the form that a history is made of. */
interface Said {
  readonly n: number;
  readonly quantity: number;
}

describe.each(specStores)('usage events $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  let events: UsageEvents;
  /** When events happened that say nothing else: repeated, they say the same. */
  let happenedAt: number;
  /** Jobs and leases that "exist", with their projects. */
  const jobs = new Map<string, string>();
  const leases = new Map<string, string>();
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
    happenedAt = opened.clock.now() - HOUR;
    events = new UsageEvents(opened.store, opened.clock, new SeededRandom('events'), () =>
      Promise.resolve({ jobs, leases }),
    );
  });
  afterAll(async () => opened.close());

  const actor = (of: Tenant) => ({ as: 'tenant', organizationId: of.organizationId, projectIds: 'all' }) as const;
  const send = (of: Tenant, batch: readonly unknown[]): Promise<EventAnswer[]> => events.receive(actor(of), batch);
  const event = (of: Tenant, id: string, data: Record<string, unknown> = {}, over: Record<string, unknown> = {}) => ({
    specversion: '1.0',
    id,
    source: '/spec',
    type: 'spec',
    time: new Date(happenedAt).toISOString(),
    data: { meter: 'requests', quantity: 1, projectId: of.projectId, ...data },
    ...over,
  });
  const records = (of: Tenant): Promise<UsageRow[]> =>
    till.tx((tx) => tx.find(usageRecords, { organizationId: of.organizationId }));
  const waiting = (of: Tenant): Promise<UnattributedRow[]> =>
    till.tx((tx) => tx.find(usageUnattributed, { organizationId: of.organizationId }, { orderBy: [['id', 'asc']] }));
  const words = (answers: readonly EventAnswer[]): string[] =>
    answers.map((a) =>
      a.outcome === 'rejected' ? a.code : a.outcome === 'accepted' && !a.attributed ? 'kept' : a.outcome,
    );

  it('are so bounded that no sum of them is too large for the books of all', async () => {
    const tenant = await till.tenant('0');
    const digits = (n: number) => '9'.repeat(n);
    const many = (name: string, n: number, quantity: string) =>
      Array.from({ length: n }, (_, i) => event(tenant, `${name}${i}`, { meter: 'output-tokens', quantity }));
    for (const name of ['x', 'y'])
      expect(new Set(words(await send(tenant, many(name, 60, digits(36)))))).toEqual(new Set(['invalid']));
    expect(words(await send(tenant, many('z', 120, digits(24))))).toEqual(Array(120).fill('accepted'));
    await foldUsage(opened.store);
  });

  it('become usage records that cost nothing, in the order in which they are answered', async () => {
    const tenant = await till.tenant('0');
    const at = happenedAt;
    const batch = [
      event(tenant, 'a', {
        meter: 'output-tokens',
        quantity: '123456789012345678901234',
        model: 'qwen',
        resource: 'gateway',
        endpointId: 'end_1',
      }),
      event(tenant, 'b', { quantity: -1 }),
      event(tenant, 'c'),
    ];
    expect(await send(tenant, batch)).toEqual([
      { outcome: 'accepted', attributed: true },
      {
        outcome: 'rejected',
        code: 'invalid',
        field: 'data.quantity',
        reason: 'must be a whole number of requests, 0 or more and of at most 24 digits',
      },
      { outcome: 'accepted', attributed: true },
    ]);
    const [a, c] = (await records(tenant)).sort((x, y) => (x.id < y.id ? -1 : 1));
    expect(a).toMatchObject({
      key: a?.id,
      ...tenant,
      endpointId: 'end_1',
      jobId: null,
      providerId: null,
      meter: 'output-tokens',
      unit: 'tokens',
      side: 'charge',
      model: 'qwen',
      resource: 'gateway',
      source: '/spec',
      fromAt: at,
      toAt: at + 1,
      periodHour: at - (at % HOUR),
      quantity: 123456789012345678901234n,
      unitPriceNano: 0n,
      amountNano: 0n,
      transactionId: null,
    });
    expect(c).toMatchObject({ meter: 'requests', resource: 'external', quantity: 1n });
    const remembered = await till.tx((tx) =>
      tx.find(usageEvents, { organizationId: tenant.organizationId, eventId: 'a' }),
    );
    expect(remembered).toEqual([
      expect.objectContaining({ usageId: a?.id, payloadHash: expect.stringMatching(/^[0-9a-f]{64}$/) }),
    ]);
    await till.audit();
  });

  it('count once, in one batch and over several; another payload under the same id is told', async () => {
    const tenant = await till.tenant('0');
    const other = await till.tenant('0');
    // Whatever an array's text is made of may be part of an id.
    const odd = [event(tenant, 'q"\\{,}NULL'), event(other, 'NULL'), event(tenant, 'q"\\{,}NULL')];
    expect(words(await send(tenant, odd))).toEqual(['accepted', 'kept', 'duplicate']);
    const told = await till.tx((tx) => tx.find(usageEvents, { organizationId: tenant.organizationId }));
    expect(told.map((r) => r.eventId).sort()).toEqual(['NULL', 'q"\\{,}NULL']);
    const first = [event(tenant, 'a'), event(tenant, 'a'), event(tenant, 'a', { quantity: 2 }), event(tenant, 'b')];
    expect(words(await send(tenant, first))).toEqual(['accepted', 'duplicate', 'conflict', 'accepted']);
    const again = [
      event(tenant, 'b', { quantity: 2 }),
      event(tenant, 'b'),
      event(tenant, 'b', {}, { source: '/other' }),
    ];
    expect(words(await send(tenant, again))).toEqual(['conflict', 'duplicate', 'accepted']);
    // The same ids of another tenant are other events.
    expect(words(await send(other, [event(other, 'a'), event(other, 'b')]))).toEqual(['accepted', 'accepted']);
    expect((await records(tenant)).map((r) => r.quantity)).toEqual([1n, 1n, 1n, 1n]);
    expect(words(await send(tenant, [event(tenant, 'a', { quantity: 2 })]))).toEqual(['conflict']);
  });

  it('that belong to nobody are kept, and become usage when somebody says whose they are', async () => {
    const tenant = await till.tenant('0');
    const foreign = await till.tenant('0');
    jobs.set('job_mine', tenant.projectId);
    leases.set('lease_other', foreign.projectId);
    const { projectId: _, ...none } = event(tenant, 'none').data;
    const batch = [
      { ...event(tenant, 'none'), data: none },
      event(tenant, 'foreign', { projectId: foreign.projectId }),
      event(tenant, 'job', { projectId: null, jobId: 'job_gone' }),
      event(tenant, 'lease', { leaseId: 'lease_gone' }),
      event(tenant, 'differ', { leaseId: 'lease_other' }),
      event(tenant, 'by-job', { projectId: null, jobId: 'job_mine' }),
    ];
    expect(words(await send(tenant, batch))).toEqual(['kept', 'kept', 'kept', 'kept', 'kept', 'accepted']);
    expect(words(await send(tenant, batch))).toEqual(batch.map(() => 'duplicate'));
    const kept = await waiting(tenant);
    expect(kept.map((r) => [r.eventId, r.reason])).toEqual([
      ['none', 'no-project'],
      ['foreign', 'unknown-project'],
      ['job', 'unknown-job'],
      ['lease', 'unknown-lease'],
      ['differ', 'projects-differ'],
    ]);
    expect(await unattributedWaiting(opened.store)).toBeGreaterThanOrEqual(5);
    expect((await records(tenant)).map((r) => [r.jobId, r.projectId])).toEqual([['job_mine', tenant.projectId]]);
    expect(await events.unattributed(actor(tenant), { limit: 2 })).toEqual(kept.slice(0, 2));
    expect(await events.unattributed(actor(foreign), { limit: 2 })).toEqual([]);

    const ids = kept.map((r) => r.id);
    const { projectId } = tenant;
    await expect(events.attribute(actor(foreign), { ids, projectId: foreign.projectId })).rejects.toThrow(
      /There is no unattributed event/,
    );
    await expect(events.attribute(actor(tenant), { ids, projectId: foreign.projectId })).rejects.toThrow(
      /There is no project/,
    );
    await expect(events.attribute(actor(tenant), { ids, projectId, jobId: 'job_gone' })).rejects.toThrow(/has no job/);
    expect(await waiting(tenant)).toEqual(kept);
    expect(await events.attribute(actor(tenant), { ids: [...ids, ids[0] ?? ''], projectId, jobId: 'job_mine' })).toBe(
      5,
    );
    await expect(events.attribute(actor(tenant), { ids, projectId })).rejects.toThrow(/There is no unattributed event/);
    expect(await waiting(tenant)).toEqual([]);
    const attributed = (await records(tenant)).filter((r) => ids.includes(r.id));
    expect(attributed).toHaveLength(5);
    for (const r of attributed) expect(r).toMatchObject({ ...tenant, jobId: 'job_mine', leaseId: null, quantity: 1n });
    expect(attributed.map((r) => r.fromAt)).toEqual(attributed.map(() => kept[0]?.at));
    expect(words(await send(tenant, batch))).toEqual(batch.map(() => 'duplicate'));
  });

  it('come to the same usage in any order, with any repetition, in any batches', async () => {
    const said = fc.record({ n: fc.nat(11), quantity: fc.integer({ min: 1, max: 3 }) });
    const history = fc.tuple(
      fc.array(said, { minLength: 1, maxLength: 40 }),
      fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 1 }),
    );
    await fc.assert(
      fc.asyncProperty(history, async ([stream, sizes]) => {
        const tenant = await till.tenant('0');
        // The first payload under an id counts, whatever comes after it.
        const model = new Map<number, number>();
        const want = stream.map(({ n, quantity }: Said) => {
          const known = model.get(n);
          if (known === undefined) model.set(n, quantity);
          return known === undefined ? 'accepted' : known === quantity ? 'duplicate' : 'conflict';
        });
        // Times differ by id and go over a month's end, so that one id's repetitions still are one event.
        const base = happenedAt - 34 * DAY;
        const told = stream.map(({ n, quantity }) =>
          event(
            tenant,
            `e${n}`,
            { quantity },
            { time: new Date(base + n * 3 * DAY).toISOString(), source: `/s${n % 3}` },
          ),
        );
        const got: string[] = [];
        for (let i = 0, k = 0; i < told.length; k++) {
          const size = sizes[k % sizes.length] ?? 1;
          got.push(...words(await send(tenant, told.slice(i, i + size))));
          i += size;
        }
        expect(got).toEqual(want);
        const rows = await records(tenant);
        expect(rows.map((r) => [r.fromAt, r.quantity]).sort()).toEqual(
          [...model].map(([n, quantity]) => [base + n * 3 * DAY, BigInt(quantity)]).sort(),
        );
        // Sent once more, in another order and in one batch, nothing changes.
        const once = [...model]
          .reverse()
          .map(([n, quantity]) =>
            event(
              tenant,
              `e${n}`,
              { quantity },
              { time: new Date(base + n * 3 * DAY).toISOString(), source: `/s${n % 3}` },
            ),
          );
        expect(new Set(words(await send(tenant, once)))).toEqual(new Set(['duplicate']));
        expect(await records(tenant)).toHaveLength(model.size);
      }),
      { numRuns: opened.postgres ? 20 : 200 },
    );
    await till.audit();
  });

  it('are forgotten when nothing in the window can repeat them', async () => {
    const tenant = await till.tenant('0');
    await send(tenant, [event(tenant, 'a')]);
    const row = { organizationId: tenant.organizationId, source: '/spec', payloadHash: 'ab'.repeat(32) };
    const now = await till.tx((tx) => tx.now());
    await till.tx((tx) =>
      tx.insert(usageEvents, [
        { ...row, eventId: 'old', usageId: newId('usage'), receivedAt: now - EVENTS_KEPT_MS - HOUR },
        { ...row, eventId: 'young', usageId: newId('usage'), receivedAt: now - EVENTS_KEPT_MS + HOUR },
      ]),
    );
    expect(await forgetUsageEvents(opened.store)).toBe(1);
    expect(await forgetUsageEvents(opened.store)).toBe(0);
    const left = await till.tx((tx) => tx.find(usageEvents, { organizationId: tenant.organizationId }));
    expect(left.map((r) => r.eventId).sort()).toEqual(['a', 'young']);
  });

  it('are counted once each when several clients send the same at the same time', async () => {
    const tenant = await till.tenant('0');
    const all = Array.from({ length: 60 }, (_, i) => event(tenant, `e${i}`));
    const random = new SeededRandom('clients');
    const shuffled = () =>
      all
        .map((e) => ({ e, at: random.float() }))
        .sort((a, b) => a.at - b.at)
        .map(({ e }) => e);
    const clients = Array.from({ length: 6 }, async () => {
      const mine = shuffled();
      const answers: EventAnswer[] = [];
      for (let i = 0; i < mine.length; i += 20) answers.push(...(await send(tenant, mine.slice(i, i + 20))));
      return words(answers);
    });
    const got = (await Promise.all(clients)).flat();
    expect(got.filter((w) => w === 'accepted')).toHaveLength(60);
    expect(got.filter((w) => w === 'duplicate')).toHaveLength(300);
    expect(await records(tenant)).toHaveLength(60);
  });
});
