import { beforeEach, describe, expect, it } from '@jest/globals';
import { MINUTE, ManualClock, SeededRandom, usd } from '#kernel';
import type { Offer } from '#contracts';
import { MemoryStore, WORKER, type Actor } from '#platform/database';
import { Catalog } from '#market/catalog';
import { rememberFailure } from '#market/reliability';
import { NOW, offerWith, workloadWith } from './placement.fixture.js';
import { Placements } from './placement.service.js';
import { placements } from './placement.table.js';

const of = { organizationId: 'org_1', projectId: 'prj_1' };
const workload = workloadWith({ accelerator: { count: 1 }, objective: 'cheapest' });
const cheap = offerWith({ id: 'cheap', pricePerHour: usd('1') });
const middle = offerWith({ id: 'middle', pricePerHour: usd('2'), region: 'eu', providerId: 'other' });
const dear = offerWith({ id: 'dear', pricePerHour: usd('3'), region: 'asia', providerId: 'third' });
const warm = (over: Partial<Offer> = {}): Offer =>
  offerWith({
    id: 'lease_w',
    pricePerHour: usd('1'),
    stock: 1,
    source: 'warm-lease',
    via: { kind: 'warm-lease', leaseId: 'lease_w', projectId: 'prj_1' },
    ...over,
  });

let clock: ManualClock;
let store: MemoryStore;
let room: Placements;
const catalog = new Catalog();

beforeEach(async () => {
  clock = new ManualClock(NOW);
  store = new MemoryStore(clock);
  room = new Placements(store, catalog, clock, new SeededRandom(1), { rentableTtlMs: 1_000, marketTtlMs: 60_000 });
  await store.transaction(WORKER, (tx) => catalog.publish(tx, [dear, cheap, middle]));
});

const place = (over: Partial<Parameters<Placements['place']>[1]> = {}) =>
  store.transaction(WORKER, (tx) =>
    room.place(tx, { ...of, jobId: 'job_1', workload, avoidOffers: [], warm: [], ...over }),
  );
const bestOf = async (over: Parameters<typeof place>[0] = {}) => (await place(over)).best?.id ?? null;

describe('placing a job', () => {
  it('takes the offer that finishes the work at the lowest cost, and stores the decision', async () => {
    const { placementId, best, why } = await place();
    expect([best, why]).toEqual([cheap, '']);
    const [row] = store.rows(placements);
    expect(row).toMatchObject({ id: placementId, ...of, jobId: 'job_1', createdAt: NOW });
    expect(row?.decision.candidates.map((c) => [c.rank, c.offer.id])).toEqual([
      [1, 'cheap'],
      [2, 'middle'],
      [3, 'dear'],
    ]);
    expect(row?.decision).toMatchObject({ considered: 3, fitting: 3, scope: 'rentable' });
  });

  it('prefers a warm machine of the project at the same price', async () => {
    expect(await bestOf({ warm: [warm()] })).toBe('lease_w');
    expect(await bestOf({ warm: [warm({ pricePerHour: usd('9') })] })).toBe('cheap');
    expect(store.rows(placements)[0]?.decision).toMatchObject({ considered: 4, fitting: 4 });
  });

  it('leaves a warm machine of another project alone', async () => {
    const via = { kind: 'warm-lease', leaseId: 'lease_w', projectId: 'prj_2' } as const;
    expect(await bestOf({ warm: [warm({ via })] })).toBe('cheap');
  });

  it('goes elsewhere than where the job has failed', async () => {
    expect(await bestOf({ avoidOffers: ['cheap'] })).toBe('middle');
    expect(await bestOf({ avoidOffers: ['cheap', 'middle'] })).toBe('dear');
    const { best, why } = await place({ avoidOffers: ['cheap', 'middle', 'dear'] });
    expect([best, why]).toEqual([null, '3 offers looked at, none fits (3 by cooling-down)']);
  });

  it.each([
    ['offer', 'middle'],
    ['region', 'middle'],
    ['account', 'middle'],
  ] as const)('leaves what cools down alone, by %s, until it is over', async (scope, second) => {
    await store.transaction(WORKER, (tx) => rememberFailure(tx, cheap, { kind: 'no-capacity', scope, message: 'm' }));
    expect(await bestOf()).toBe(second);
    clock.advance(2 * MINUTE);
    await store.transaction(WORKER, (tx) => catalog.publish(tx, [{ ...cheap, observedAtMs: clock.now() }]));
    expect(await bestOf()).toBe('cheap');
  });

  it('sends no tenant to a zone in which three offers had no capacity, until that is forgotten', async () => {
    const fourth = offerWith({ id: 'fourth', pricePerHour: usd('0.5'), providerId: 'cloud', zone: 'za' });
    const elsewhere = { ...fourth, id: 'elsewhere', pricePerHour: usd('0.6'), zone: 'zb' };
    const publish = () =>
      store.transaction(WORKER, (tx) =>
        catalog.publish(
          tx,
          [fourth, elsewhere].map((o) => ({ ...o, observedAtMs: clock.now() })),
        ),
      );
    const full = (id: string) =>
      store.transaction(WORKER, (tx) =>
        rememberFailure(tx, { ...fourth, id }, { kind: 'no-capacity', scope: 'offer', message: 'm' }),
      );
    await publish();
    room.forget();
    await full('first');
    await full('second');
    expect(await bestOf()).toBe('fourth');
    await full('third');
    expect(await bestOf({ organizationId: 'org_2', projectId: 'prj_2' })).toBe('elsewhere');
    clock.advance(2 * MINUTE);
    await publish();
    expect(await bestOf({ organizationId: 'org_2', projectId: 'prj_2' })).toBe('fourth');
  });

  it('says why when nothing fits, and stores that too', async () => {
    const { best, why } = await place({ workload: workloadWith({ accelerator: { count: 8 } }) });
    expect([best, why]).toEqual([
      null,
      '3 offers looked at, none fits (3 by count); 8 accelerators with all 8 in one machine: the nearest match has 1',
    ]);
    const decision = store.rows(placements)[0]?.decision;
    expect([decision?.fitting, decision?.rejections]).toEqual([0, { count: 3 }]);
    expect(decision?.hints.length).toBeGreaterThan(0);
  });

  it('says so when there is nothing at all', async () => {
    await store.transaction(WORKER, (tx) => catalog.withdraw(tx, ['cheap', 'middle', 'dear']));
    expect(await place()).toMatchObject({ best: null, why: 'no offers that can be rented' });
  });

  it('never rents what is only listed', async () => {
    await store.transaction(WORKER, (tx) => catalog.publish(tx, [offerWith({ ...cheap, status: 'listed' })]));
    room.forget();
    expect(await bestOf()).toBe('middle');
  });

  it('reads the market anew after a second, or when told', async () => {
    const gone = () => store.transaction(WORKER, (tx) => catalog.withdraw(tx, ['cheap']));
    expect(await bestOf()).toBe('cheap');
    await gone();
    clock.advance(999);
    expect(await bestOf()).toBe('cheap');
    clock.advance(1);
    expect(await bestOf()).toBe('middle');
    await store.transaction(WORKER, (tx) => catalog.withdraw(tx, ['middle']));
    room.forget();
    expect(await bestOf()).toBe('dear');
  });
});

describe('an estimate', () => {
  it('is what the best offer is expected to cost, and stores nothing', async () => {
    const estimate = await room.estimate({ projectId: 'prj_1', workload });
    expect(estimate).toMatchObject({ offer: { id: 'cheap' } });
    if ('why' in estimate) throw new Error(estimate.why);
    expect(estimate.expectedNano).toBeGreaterThanOrEqual(usd('1'));
    expect(estimate.expectedS).toBeGreaterThan(3_600);
    expect(store.rows(placements)).toEqual([]);
  });

  it('is not put off by what cools down for a moment', async () => {
    const failure = { kind: 'no-capacity', scope: 'account', message: 'm' } as const;
    await store.transaction(WORKER, (tx) => rememberFailure(tx, cheap, failure));
    expect(await room.estimate({ projectId: 'prj_1', workload })).toMatchObject({ offer: { id: 'cheap' } });
  });

  it('says why there is none, with hints', async () => {
    const none = await room.estimate({ projectId: 'prj_1', workload: workloadWith({ accelerator: { count: 8 } }) });
    if (!('why' in none)) throw new Error('there is an estimate');
    expect(none.why).toContain('3 by count');
    expect(none.hints.length).toBeGreaterThan(0);
  });
});

describe('a preview', () => {
  it('is stored as its tenant’s, and found by nobody else: by the repository alone', async () => {
    const tenant = (organizationId: string, projectIds: readonly string[] | 'all'): Actor => ({
      as: 'tenant',
      organizationId,
      projectIds,
    });
    const view = await room.preview(tenant('org_1', 'all'), { ...of, workload, scope: 'market', limit: 2 });
    expect(view.candidates.map((c) => c.offer.id)).toEqual(['cheap', 'middle']);
    expect(await room.get(tenant('org_1', ['prj_1']), view.id)).toEqual(view);
    for (const actor of [tenant('org_2', 'all'), tenant('org_1', ['prj_2']), tenant('org_1', [])])
      await expect(room.get(actor, view.id)).rejects.toMatchObject({ kind: 'not-found' });
  });
});

describe('a decision taken again', () => {
  const actor: Actor = { as: 'tenant', organizationId: 'org_1', projectIds: 'all' };
  const publish = (offers: Offer[]) => store.transaction(WORKER, (tx) => catalog.publish(tx, offers));
  const first = () => room.preview(actor, { ...of, workload, scope: 'rentable', limit: 2 });
  const again = async (id: string, other: Partial<Parameters<Placements['replay']>[2]> = {}) => {
    room.forget();
    const view = await room.replay(actor, id, { limit: 3, ...other });
    if (!view.replay) throw new Error('it says nothing of the first');
    return { view, replay: view.replay };
  };
  const sum = (parts: readonly { total: string }[]) => parts.reduce((a, p) => a + BigInt(p.total), 0n);

  it('is stored as its own, says so, and changes nothing where nothing changed', async () => {
    const then = await first();
    const { view, replay } = await again(then.id);
    expect(replay).toMatchObject({ of: then.id, at: then.createdAt, question: [], sameWinner: true });
    expect(replay.winnerThen?.now).toMatchObject({ fate: 'first', rank: 1, cost: then.candidates[0]?.cost });
    expect(sum(Object.values(replay.winnerThen?.now.because ?? {}))).toBe(0n);
    expect(replay.summary).toEqual(['acme/a100x1 in us-east1 wins again.']);
    expect(await room.get(actor, view.id)).toEqual(view);
    expect((await room.get(actor, then.id)).replay).toBeUndefined();
  });

  it('tells a price that rose from the rest, term by term', async () => {
    const then = await first();
    await publish([{ ...cheap, pricePerHour: usd('2.5') }]);
    const { replay } = await again(then.id);
    const { now, cost } = replay.winnerThen ?? { now: undefined, cost: undefined };
    expect(now).toMatchObject({ fate: 'ranked', rank: 2, offer: { pricePerHour: usd('2.5').toString() } });
    expect(now?.because).toMatchObject({ belief: { total: '0' }, question: { total: '0' } });
    expect(now?.because?.price.compute).toBe(usd('1.5').toString());
    expect(BigInt(now?.cost?.total ?? 0) - BigInt(cost?.total ?? 0)).toBe(sum(Object.values(now?.because ?? {})));
    expect(replay.winnerNow).toMatchObject({ offer: { id: 'middle' }, then: { rank: 2 } });
    expect(replay.summary.join(' ')).toMatch(
      /is now number 2\. It counts \$1\.\d\d more by its price: \+\$1\.50 for computing/,
    );
  });

  it('says that the winner is gone, or rejected and by what', async () => {
    const then = await first();
    await publish([{ ...cheap, stock: 0 }]);
    expect((await again(then.id)).replay.winnerThen?.now).toMatchObject({ fate: 'rejected', rejectedBy: 'no-stock' });
    await store.transaction(WORKER, (tx) => catalog.withdraw(tx, ['cheap']));
    const { replay } = await again(then.id);
    expect(replay.winnerThen?.now).toMatchObject({ fate: 'gone', offer: null, cost: null, because: null });
    expect(replay.summary[1]).toBe('acme/a100x1 in us-east1 is no longer offered.');
  });

  it('asks another question, with each change named', async () => {
    const then = await first();
    const { view, replay } = await again(then.id, {
      objective: 'reliable',
      constraints: { excludeProviders: ['acme'], maxPricePerHour: usd('9').toString() },
    });
    expect(view.workload).toMatchObject({ objective: 'reliable', constraints: { excludeProviders: ['acme'] } });
    expect(replay.question.map((q) => q.field)).toEqual([
      'objective',
      'constraints.excludeProviders',
      'constraints.maxPricePerHour',
    ]);
    expect(replay.winnerThen?.now).toMatchObject({ fate: 'rejected', rejectedBy: 'provider' });
    expect(BigInt(replay.winnerThen?.now.because?.question.timeValue ?? 0)).toBeGreaterThan(0n);
    const back = await again(view.id, { objective: 'cheapest', without: ['excludeProviders', 'maxPricePerHour'] });
    expect(back.view.candidates[0]?.offer.id).toBe('cheap');
    expect(back.replay.of).toBe(view.id);
  });

  it('goes from nothing to something, and back', async () => {
    const nothing = await room.preview(actor, {
      ...of,
      workload: { ...workload, constraints: { regions: ['mars'] } },
      scope: 'rentable',
      limit: 2,
    });
    const found = await again(nothing.id, { without: ['regions'] });
    expect(found.replay.winnerThen).toBeNull();
    expect(found.replay.winnerNow?.offer.id).toBe('cheap');
    const lost = await again(found.view.id, { constraints: { regions: ['mars'] } });
    expect(lost.replay.winnerNow).toBeNull();
    expect(lost.replay.summary.join(' ')).toContain('nothing fits now');
  });

  it('is nobody else’s to take', async () => {
    const then = await first();
    const other: Actor = { ...actor, organizationId: 'org_2' };
    await expect(room.replay(other, then.id, { limit: 3 })).rejects.toMatchObject({ kind: 'not-found' });
  });
});
