import { describe, expect, it } from '@jest/globals';
import { createJobSchema, priceTermsSchema, workloadSchema, type CreateJobInput } from '#contracts';
import { chargeBetween, MINUTE, usd } from '#kernel';
import { WORKER } from '#platform/database';
import { events } from '#platform/reconcile';
import { leases, type LeaseRow } from '#compute/leases';
import { usageRecords } from '#money/metering';
import { quotes, toQuoteView, type QuoteRow } from '#work/quotes';
import { cpuSku, openWorld, type World, type WorldOptions } from '#testing/world';
import { jobs, type JobRow } from '../index.js';

interface Started {
  readonly world: World;
  readonly sku: { priceUsdPerHour: string; stock: number | null };
  readonly quote: QuoteRow;
  submit(over?: Partial<CreateJobInput>): Promise<JobRow>;
  /** The vendor's list as it is now. */
  list(): Promise<void>;
}

/** A machine at $0.40 an hour with a margin of 10 %, quoted at $0.44. */
async function start(options: WorldOptions = {}, workload: object = {}): Promise<Started> {
  const sku: { priceUsdPerHour: string; stock: number | null } & typeof cpuSku = { ...cpuSku };
  const world = await openWorld({ skus: [sku], ...options });
  await world.credit('25');
  const of = { organizationId: world.organizationId, projectId: world.projectId };
  const { quote } = await world.broker.quotes.make(WORKER, { ...of, workload: workloadSchema.parse(workload) });
  return {
    world,
    sku,
    quote,
    submit: (over = {}) =>
      world.broker.jobs.submit({
        ...of,
        actor: WORKER,
        request: createJobSchema.parse({ spec: { kind: 'command', command: ['true'] }, quoteId: quote.id, ...over }),
      }),
    // Offers are read anew every ten minutes, at the first step.
    list: () => world.run(1_000),
  };
}

const leasesOf = ({ world }: Started): Promise<LeaseRow[]> =>
  world.store.transaction(WORKER, (tx) => tx.find(leases, {}, { orderBy: [['id', 'asc']] }));
const told = async ({ world }: Started, id: string): Promise<string[]> =>
  (await world.store.transaction(WORKER, (tx) => tx.find(events, { subjectId: id }, { orderBy: [['n', 'asc']] }))).map(
    (e) => e.message,
  );
const quoteNow = ({ world, quote }: Started): Promise<QuoteRow | null> =>
  world.store.transaction(WORKER, (tx) => tx.first(quotes, { id: quote.id }));
const jobsOf = ({ world }: Started): Promise<JobRow[]> => world.store.transaction(WORKER, (tx) => tx.find(jobs, {}));
const noCapacity = (n: number) => ({ point: 'create', kind: 'no-capacity', occurrence: n }) as const;

describe('a quote', () => {
  it('is the tenant’s price of the best machine, for ten minutes, with the decision behind it', async () => {
    const s = await start();
    expect(s.quote).toMatchObject({
      costPerHour: usd('0.40'),
      chargePerHour: usd('0.44'),
      terms: { bookVersion: null, marginBps: 1_000, discountBps: 0 },
      expiresAt: s.quote.createdAt + 10 * MINUTE,
      jobId: null,
    });
    const { decision } = await s.world.broker.quotes.get(WORKER, s.quote.id);
    expect(decision).toMatchObject({ id: s.quote.placementId, scope: 'rentable' });
    expect(decision.candidates[0]?.offer).toEqual(s.quote.offer);
  });

  it('is refused for work that nothing fits, with what would, and for work with a deadline', async () => {
    await expect(start({}, { minVcpus: 64 })).rejects.toMatchObject({ kind: 'unprocessable', code: 'nothing-fits' });
    await expect(start({}, { constraints: { deadlineS: 3_600 } })).rejects.toMatchObject({
      details: { field: 'workload.constraints.deadlineS' },
    });
  });
});

describe('a job with a quote', () => {
  it('is charged the quoted price when the vendor’s went up meanwhile: the margin bears it, below zero if need be', async () => {
    const s = await start();
    s.sku.priceUsdPerHour = '0.50';
    await s.list();
    const job = await s.submit();
    await s.world.run(5 * MINUTE);
    expect((await s.world.broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
    const [lease, ...more] = await leasesOf(s);
    expect(more).toEqual([]);
    expect(lease).toMatchObject({
      costPerHour: usd('0.50'),
      chargePerHour: usd('0.44'),
      placementId: s.quote.placementId,
      chargeTerms: { quoted: { quoteId: s.quote.id, perHour: String(usd('0.44')) } },
    });
    const records = await s.world.store.transaction(WORKER, (tx) => tx.find(usageRecords, { meter: 'lease-time' }));
    const sum = (side: string): bigint => records.filter((r) => r.side === side).reduce((n, r) => n + r.amountNano, 0n);
    const ms = records.filter((r) => r.side === 'charge').reduce((n, r) => n + Number(r.quantity), 0);
    expect(ms).toBeGreaterThan(0);
    expect(sum('charge')).toBe(chargeBetween(usd('0.44'), 0, 0, ms));
    expect(sum('charge') - sum('cost')).toBeLessThan(0n);
    expect(await told(s, job.id)).toContain('renting cpu-4x in eu-test-1 at the quoted price');
    expect(await quoteNow(s)).toMatchObject({ jobId: job.id });
  });

  it('pays what was quoted when the vendor’s price went down', async () => {
    const s = await start();
    s.sku.priceUsdPerHour = '0.10';
    await s.list();
    await s.submit();
    await s.world.run(30_000);
    expect(await leasesOf(s)).toMatchObject([{ costPerHour: usd('0.10'), chargePerHour: usd('0.44') }]);
  });

  it('has the quoted machine, whatever else became cheaper', async () => {
    const other = { ...cpuSku, name: 'cpu-8x', priceUsdPerHour: '9' };
    const s = await start({ skus: [{ ...cpuSku }, other] });
    other.priceUsdPerHour = '0.01';
    await s.list();
    await s.submit();
    await s.world.run(30_000);
    expect((await leasesOf(s)).map((l) => l.offer.sku)).toEqual(['cpu-4x']);
  });

  it('has the work of its quote, and no other', async () => {
    const s = await start({}, { work: { kind: 'wall-hours', hours: 2 } });
    const other = s.submit({ workload: { work: { kind: 'wall-hours', hours: 3 } } });
    await expect(other).rejects.toMatchObject({ code: 'quote-other-work', details: { field: 'workload' } });
    const job = await s.submit();
    expect(job.workload.work).toEqual({ kind: 'wall-hours', hours: 2 });
    // Three times the expected time at the quoted price.
    expect(job.capNano).toBeGreaterThan(usd('0.44') * 6n);
  });

  it('goes on at the market’s price after its machine was lost, and says so', async () => {
    const fault = { point: 'machine', kind: 'preemption', occurrence: 1, arg: 60_000, noticeMs: 20_000 } as const;
    const s = await start({ faults: [fault] });
    s.world.broker.work.desired = () => Promise.resolve([]);
    const job = await s.submit();
    s.sku.priceUsdPerHour = '0.50';
    await s.world.run(25 * MINUTE, 5_000);
    const [first, second] = await leasesOf(s);
    expect([first?.chargePerHour, second?.chargePerHour]).toEqual([usd('0.44'), usd('0.55')]);
    expect(second?.chargeTerms?.quoted).toBeUndefined();
    expect((await told(s, job.id)).filter((m) => m.endsWith('at the quoted price'))).toHaveLength(1);
  });

  it('does not wait for its machine: gone between submission and start, the next is at the market’s price', async () => {
    const s = await start({ skus: [{ ...cpuSku }, { ...cpuSku, name: 'cpu-8x', priceUsdPerHour: '0.60' }] });
    const job = await s.submit();
    const kept = await s.world.broker.placements.look('rentable', (index) =>
      Promise.resolve(Array.from({ length: index.size }, (_, i) => index.offerAt(i))),
    );
    await s.world.store.transaction(WORKER, (tx) =>
      s.world.broker.catalog.replace(
        tx,
        s.world.provider.id,
        kept.filter((o) => o.id !== s.quote.offerId),
      ),
    );
    await s.world.broker.loop.reconcile('job', job.id);
    expect(await leasesOf(s)).toMatchObject([{ chargePerHour: usd('0.66') }]);
    expect((await told(s, job.id)).at(-1)).toBe(
      'renting cpu-8x in eu-test-1; at the market’s price, since the quoted machine is not offered any more',
    );
  });
});

describe('a quote that does not hold any more', () => {
  it('is refused after its end, with the old price and today’s', async () => {
    const s = await start();
    s.sku.priceUsdPerHour = '0.50';
    await s.world.run(11 * MINUTE, 10_000);
    await expect(s.submit()).rejects.toMatchObject({
      kind: 'conflict',
      code: 'quote-expired',
      message: expect.stringContaining('quoted at $0.44 an hour; now it costs $0.55'),
      details: { facts: { quotedPricePerHour: String(usd('0.44')), pricePerHour: String(usd('0.55')) } },
    });
  });

  it('is refused when a new book gives another price, and not when it gives the same', async () => {
    const s = await start();
    const publish = (bps: number) =>
      s.world.store.transaction(WORKER, (tx) =>
        s.world.broker.prices.publish(tx, { terms: priceTermsSchema.parse({ marginBps: { hyperscaler: bps } }) }),
      );
    await publish(2_500);
    await expect(s.submit()).rejects.toMatchObject({
      code: 'quote-price-changed',
      message: 'The price book changed since. It was quoted at $0.44 an hour; now it costs $0.50.',
    });
    s.world.clock.advance(1_000);
    await publish(1_000);
    await s.submit();
  });

  it('is refused when its machine is sold out or failing', async () => {
    const other = { ...cpuSku, name: 'cpu-8x', priceUsdPerHour: '0.60' };
    const s = await start({ skus: [{ ...cpuSku, stock: 1 }, other], faults: [noCapacity(1)] });
    await s.submit({ quoteId: undefined });
    await s.world.run(10_000);
    await expect(s.submit()).rejects.toMatchObject({
      code: 'quote-out-of-stock',
      message: expect.stringContaining('It was quoted at $0.44 an hour; '),
    });
  });

  it('leaves nothing behind: no job, no hold, and the quote open', async () => {
    const s = await start();
    await expect(s.submit({ maxCost: String(usd('1000')) })).rejects.toMatchObject({ kind: 'payment-required' });
    expect([await jobsOf(s), await quoteNow(s)]).toMatchObject([[], { jobId: null }]);
    await s.submit();
    await expect(s.submit()).rejects.toMatchObject({ kind: 'conflict', code: 'quote-used' });
    expect(await jobsOf(s)).toHaveLength(1);
  });

  it('is used by one of many that come at once; the others hold nothing', async () => {
    const s = await start();
    const ends = await Promise.allSettled(Array.from({ length: 10 }, () => s.submit({ maxCost: String(usd('1')) })));
    const refused = ends.filter((e) => e.status === 'rejected').map((e) => (e.reason as { code: string }).code);
    expect(refused).toEqual(Array(9).fill('quote-used'));
    expect(await jobsOf(s)).toHaveLength(1);
    const credit = await s.world.store.transaction(WORKER, (tx) =>
      s.world.broker.ledger.creditOf(tx, s.world.organizationId),
    );
    expect(credit.heldNano).toBe(usd('1'));
  });

  it('is for one machine: of many at once only the price of one would be charged', async () => {
    await expect(start({}, { nodes: 4 })).rejects.toMatchObject({
      code: 'gang-not-rentable',
      details: { field: 'workload.nodes' },
    });
    const s = await start();
    await expect(s.submit({ quoteId: undefined, workload: { nodes: 4 } })).rejects.toMatchObject({
      code: 'gang-not-rentable',
    });
  });

  it('names the jobs that want one quote, and the job of many whose quote another took', async () => {
    const s = await start();
    const { id: quoteId } = s.quote;
    const of = { organizationId: s.world.organizationId, projectId: s.world.projectId, actor: WORKER };
    const command = { spec: { kind: 'command', command: ['true'] } } as const;
    const many = (...quoteIds: (string | undefined)[]): Promise<JobRow[]> =>
      s.world.broker.jobs.submitMany(
        of,
        quoteIds.map((id) => createJobSchema.parse({ ...command, quoteId: id })),
      );
    await expect(many(quoteId, undefined, quoteId)).rejects.toMatchObject({
      code: 'quote-twice',
      details: { field: 'jobs.2.quoteId' },
    });
    const { quotes: room } = s.world.broker;
    const open = room.openFor.bind(room);
    room.openFor = async (actor, asked) => {
      const row = await open(actor, asked);
      room.openFor = open;
      await s.submit();
      return row;
    };
    await expect(many(undefined, quoteId)).rejects.toMatchObject({
      code: 'quote-used',
      details: { field: 'jobs.1.quoteId' },
    });
  });

  it('expects the least time that is charged', async () => {
    const s = await start();
    const terms = { ...s.quote.terms, leaseMinimumMs: 600_000 };
    const view = toQuoteView({ ...s.quote, terms, expectedS: 60 }, 0);
    expect(view.expectedCharge).toBe('73333334');
  });

  it('is refused where tokens are paid', async () => {
    const s = await start();
    const inputArtifactId = (await s.world.upload(2)) as `art_${string}`;
    const model = 'universal-sentence-encoder';
    const byTokens = s.submit({ spec: { kind: 'batch-inference', model, inputArtifactId, billing: 'tokens' } });
    await expect(byTokens).rejects.toMatchObject({ code: 'quote-with-tokens' });
    const byTime = await s.submit({ spec: { kind: 'batch-inference', model, inputArtifactId } });
    expect(byTime.quoteId).toBe(s.quote.id);
  });
});
