import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createRequest } from '#adapters/conformance';
import { ManualClock } from '#kernel';
import { workloadSchema, type HostFacts, type Offer } from '#contracts';
import { openStore, WORKER, type OpenStore } from '#platform/database';
import { placements } from '#market/placement';
import { patient, testDatabase, type TestDatabase } from '#testing';
import { GPU_SHARES } from './gpu-parts.js';
import { hostToFill, type HostState } from './host-packing.js';
import { gpuFacts, INSTALL, openHosts, withMig, type HostWorld } from './hosts.fixture.js';
import { slots, type SlotRow } from './hosts.table.js';

const halves = {
  ...gpuFacts(8),
  linkDomains: [
    [0, 1, 2, 3],
    [4, 5, 6, 7],
  ],
};

/** A host of which these leases have these GPUs, whole or as a share from 0. */
function state(
  name: string,
  leases: readonly (readonly number[])[],
  facts = gpuFacts(8),
  share = GPU_SHARES,
): HostState {
  const taken = leases.flatMap((gpus, lease) =>
    gpus.map((gpuIndex): SlotRow => {
      const of = { hostId: name, leaseId: `${name}-${lease}`, attemptId: 'att_1', claimedAt: 0, device: null };
      return { ...of, n: gpuIndex, gpuIndex, shareFrom: 0, shareTo: share };
    }),
  );
  const host = {
    id: name,
    organizationId: 'org_1',
    providerId: 'prv_1',
    name,
    state: 'ready',
    region: 'lab',
    country: 'FI',
    slotCount: 8,
    pricePerSlotHour: 1n,
    timeSlices: share === GPU_SHARES ? 1 : GPU_SHARES / share,
    agentId: 'agt_1',
    createdAt: 0,
    version: 1,
    wakeAt: null,
  } as const;
  return { host, facts, taken };
}
const fill = (states: readonly HostState[], count: number): string | null =>
  hostToFill(states, { sku: `box/${count}`, count })?.id ?? null;

describe('the host that a lease goes to', () => {
  it('is one that is started, so that empty ones stay whole', () => {
    const states = [state('empty', []), state('started', [[0], [1]]), state('full', [[0, 1, 2, 3, 4, 5, 6, 7]])];
    expect([1, 2, 4, 8].map((count) => fill(states, count))).toEqual(['started', 'started', 'started', 'empty']);
    expect(fill([state('full', [[0, 1, 2, 3, 4, 5, 6, 7]])], 1)).toBeNull();
    expect(fill([], 1)).toBeNull();
  });

  it('is the one whose NVLink domain it fills, not the one with the fewest GPUs left', () => {
    // Six left in two domains of two and four; five left in one.
    const states = [state('halves', [[0, 1]], halves), state('one', [[0, 1, 2]])];
    expect(fill(states, 2)).toBe('halves');
    expect(fill(states, 4)).toBe('halves');
    expect(fill([state('halves', [], halves), state('one', [[0]])], 8)).toBe('halves');
  });

  it('is not the one that will soon be empty', () => {
    // As many GPUs are left on both: one lease has four of the first, four leases have one each of the second.
    const states = [state('soon', [[0, 1, 2, 3]]), state('later', [[0], [1], [2], [3]])];
    expect(fill(states, 1)).toBe('later');
    expect(fill(states.toReversed(), 1)).toBe('later');
  });

  it('is the one with a started GPU for a part of one', () => {
    const half = (name: string, leases: readonly (readonly number[])[]) => state(name, leases, gpuFacts(8), 420);
    const slice = { sku: 'box/1of2', count: 0.5, isolation: 'time-slice' } as const;
    expect(hostToFill([half('empty', []), half('started', [[3]])], slice)?.id).toBe('started');
    const cut = (name: string, leases: readonly (readonly number[])[]) =>
      state(name, leases, withMig(gpuFacts(2), { 0: ['3g.40gb', '3g.40gb'], 1: ['3g.40gb', '3g.40gb'] }), 420);
    const mig = { sku: 'box/3g.40gb', count: 0.429, isolation: 'mig' } as const;
    expect(hostToFill([cut('empty', []), cut('started', [[1]])], mig)?.id).toBe('started');
  });

  it('always has room, and there is none only where nobody has', () => {
    const leases = fc.uniqueArray(fc.nat(7), { maxLength: 8 }).map((gpus) => gpus.map((gpu) => [gpu]));
    const facts = fc.constantFrom<HostFacts>(gpuFacts(8), halves);
    fc.assert(
      fc.property(fc.array(fc.tuple(leases, facts), { maxLength: 5 }), fc.constantFrom(1, 2, 4, 8), (hosts, count) => {
        const states = hosts.map(([taken, of], i) => state(`h${i}`, taken, of));
        const fits = ({ taken, facts: of }: HostState): boolean =>
          (of.linkDomains && count <= 4 ? of.linkDomains : [[0, 1, 2, 3, 4, 5, 6, 7]]).some(
            (domain) => domain.filter((gpu) => !taken.some((s) => s.gpuIndex === gpu)).length >= count,
          );
        const chosen = fill(states, count);
        const there = states.find(({ host }) => host.id === chosen);
        expect(there ? fits(there) : !states.some(fits)).toBe(true);
      }),
    );
  });
});

describe('jobs on registered hosts, on PostgreSQL', () => {
  let database: TestDatabase;
  let opened: OpenStore;
  beforeAll(async () => {
    database = await testDatabase();
    opened = await openStore(database.ownerUrl, database.secret, { poolSize: 4, name: 'packing-spec', ...patient });
  });
  afterAll(async () => {
    await opened.close();
    await database.close();
  });

  /** Places a job as the broker does and rents what was chosen. */
  async function rent(on: HostWorld, count: number, n: number): Promise<{ hostId: string; leaseId: string } | null> {
    const workload = workloadSchema.parse({ accelerator: { count }, constraints: { providers: [on.provider.id] } });
    const { organizationId, projectId } = on;
    const of = { organizationId, projectId, jobId: `job_${n}`, workload, avoidOffers: [], warm: [] };
    on.broker.placements.forget();
    const { best } = await on.store.transaction(WORKER, (tx) => on.broker.placements.place(tx, of));
    if (best?.via.kind !== 'host') return null;
    const request = createRequest(best satisfies Offer, { install: INSTALL, n }, Date.now() + 60_000);
    const leaseId = `lease_pack${n}`;
    const { kind } = await on.port.create({ ...request, leaseId, attemptId: `att_pack${n}` });
    expect(kind).toBe('created');
    return { hostId: best.via.hostId, leaseId };
  }

  it('leave empty hosts whole for eight GPUs while a started one has room, also after others have gone', async () => {
    const on = await openHosts({ store: opened.store, clock: new ManualClock(Date.now()) });
    for (const name of ['a', 'b', 'c', 'd']) {
      const { token } = await on.add(name, 8);
      await on.enrol(token, gpuFacts(8));
    }
    const small = [];
    for (const [n, count] of [1, 2, 1, 1, 2, 1, 1, 1, 2, 1].entries()) small.push(await rent(on, count, n));
    // Thirteen GPUs are on two hosts.
    expect(new Set(small.map((lease) => lease?.hostId)).size).toBe(2);
    // Half of the work leaves; what comes goes where most is left of it.
    for (const [n, lease] of small.entries()) if (lease && n % 2 === 0) await on.port.terminate(lease.leaseId);
    for (let n = 20; n < 24; n++) await rent(on, 1, n);
    const taken = await on.store.transaction(WORKER, (tx) => tx.find(slots, {}));
    expect(new Set(taken.map((s) => s.hostId)).size).toBe(2);
    const blocks = [await rent(on, 8, 30), await rent(on, 8, 31)];
    expect(blocks.every((lease) => lease !== null)).toBe(true);
    expect(await rent(on, 8, 32)).toBeNull();
  });

  it('take what is left of a started NVLink domain, so that blocks of four survive on both hosts', async () => {
    const on = await openHosts({ store: opened.store, clock: new ManualClock(Date.now()), seed: 2 });
    const add = async (name: string, facts: HostFacts): Promise<string> => {
      const { host, token } = await on.add(name, 8);
      await on.enrol(token, facts);
      return host.id;
    };
    const [inHalves, inOne] = [await add('halves', halves), await add('one', gpuFacts(8))];
    const take = async (hostId: string, count: number, n: number): Promise<void> => {
      const offer = (await on.hostOffers()).find((o) => o.id === `${hostId}:${count}`);
      if (!offer) throw new Error('the host offers that');
      const request = createRequest(offer, { install: INSTALL, n }, Date.now() + 60_000);
      await on.port.create({ ...request, leaseId: `lease_fill${n}`, attemptId: `att_fill${n}` });
    };
    await take(inHalves, 2, 50);
    await take(inOne, 2, 51);
    await take(inOne, 1, 52);
    expect((await rent(on, 2, 60))?.hostId).toBe(inHalves);
    const blocks = [await rent(on, 4, 61), await rent(on, 4, 62)];
    expect(blocks.map((lease) => lease?.hostId).toSorted()).toEqual([inHalves, inOne].toSorted());
    const [row] = await on.store.transaction(WORKER, (tx) => tx.find(placements, { jobId: 'job_60' }));
    const [first] = row?.decision.candidates ?? [];
    expect(first?.offer.id).toBe(`${inHalves}:2`);
    expect(first?.reasons.join(' ')).toContain('Chosen among 2 hosts of its provider');
  });
});
