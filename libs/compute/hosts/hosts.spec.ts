import { beforeEach, describe, expect, it } from '@jest/globals';
import { MINUTE } from '#kernel';
import { WORKER } from '#platform/database';
import { agents } from '#compute/agents';
import { GPU_SHARES } from './gpu-parts.js';
import { hostOffers } from './host-offers.js';
import { cpuFacts, gpuFacts, memory, openHosts, type HostWorld } from './hosts.fixture.js';
import { hosts, type HostRow, type SlotRow } from './hosts.table.js';

let world: HostWorld;
beforeEach(async () => {
  world = await openHosts();
});

const row = (over: Partial<HostRow> = {}): HostRow => ({
  id: 'host_1',
  organizationId: 'org_1',
  providerId: 'prv_1',
  name: 'box',
  state: 'ready',
  region: 'lab',
  country: 'FI',
  slotCount: 8,
  pricePerSlotHour: 2_000_000_000n,
  timeSlices: 1,
  agentId: 'agt_1',
  createdAt: 0,
  version: 1,
  wakeAt: null,
  ...over,
});

const wholeGpu = { shareFrom: 0, shareTo: GPU_SHARES, device: null };
const taken = (...gpus: number[]): SlotRow[] =>
  gpus.map((gpuIndex, n) => ({
    hostId: 'host_1',
    n,
    gpuIndex,
    ...wholeGpu,
    leaseId: `lse_${n}`,
    attemptId: 'att_1',
    claimedAt: 0,
  }));

describe('what a host offers', () => {
  it('is one offer per power of two of its GPUs, and all of them', () => {
    const list = hostOffers(row({ slotCount: 6 }), gpuFacts(6), [], 7);
    expect(list.map((o) => [o.count, o.stock, o.pricePerHour, o.vcpus])).toEqual([
      [1, 6, 2_000_000_000n, 21],
      [2, 3, 4_000_000_000n, 42],
      [4, 1, 8_000_000_000n, 85],
      [6, 1, 12_000_000_000n, 128],
    ]);
    expect(list[0]).toMatchObject({
      accelerator: 'H100-SXM',
      acceleratorVendor: 'nvidia',
      vramGiB: 79.6,
      observedAtMs: 7,
    });
    expect(list.map((o) => o.interconnect.intraNode)).toEqual(['none', 'nvlink', 'nvlink', 'nvlink']);
    expect(new Set(list.map((o) => o.id)).size).toBe(4);
  });

  it('stays in stock as far as slots are free', () => {
    expect(hostOffers(row(), gpuFacts(8), taken(0, 1, 2, 3, 4), 0).map((o) => [o.count, o.stock])).toEqual([
      [1, 3],
      [2, 1],
      [4, 0],
      [8, 0],
    ]);
  });

  it('counts blocks by NVLink domain, and says that they are linked, where one can hold them', () => {
    const halves = {
      ...gpuFacts(8, undefined, undefined, 'pcie'),
      linkDomains: [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
      ],
    };
    const offered = (busy: readonly number[]) =>
      hostOffers(row(), halves, taken(...busy), 0).map((o) => [o.count, o.stock, o.interconnect.intraNode]);
    expect(offered([])).toEqual([
      [1, 8, 'none'],
      [2, 4, 'nvlink'],
      [4, 2, 'nvlink'],
      [8, 1, 'unknown'],
    ]);
    expect(offered([3, 4]).map(([count, stock]) => [count, stock])).toEqual([
      [1, 6],
      [2, 2],
      [4, 0],
      [8, 0],
    ]);
  });

  it('is one slot at a time without GPUs', () => {
    const [only, ...rest] = hostOffers(row({ slotCount: 4 }), cpuFacts, [], 0);
    expect(rest).toEqual([]);
    expect(only).toMatchObject({ accelerator: 'CPU', count: 0, vcpus: 4, ramGiB: 16, stock: 4, vramGiB: 0 });
  });

  it('is nothing for an accelerator nobody knows', () => {
    expect(hostOffers(row(), gpuFacts(8, 'Banana 9000'), [], 0)).toEqual([]);
  });

  it('promises no NVLink that the driver does not see', () => {
    const link = (said: string) =>
      hostOffers(row(), gpuFacts(8, undefined, undefined, said), [], 0)[1]?.interconnect.intraNode;
    expect([link('NVSwitch'), link('NVLink'), link('PHB'), link('')]).toEqual([
      'nvswitch',
      'nvlink',
      'unknown',
      'unknown',
    ]);
  });
});

describe('a host', () => {
  it('offers nothing until its agent has enrolled, and then what the agent measured', async () => {
    const { host, token } = await world.add('box', 2);
    expect([host.state, await world.hostOffers()]).toEqual(['enrolling', []]);
    const { agentId } = await world.enrol(token, cpuFacts);
    expect(await world.host(host.id)).toMatchObject({ state: 'ready', agentId, slotCount: 2 });
    expect((await world.hostOffers()).map((o) => [o.id, o.stock])).toEqual([[`${host.id}:1`, 2]]);
  });

  it('sells no more slots than it has GPUs', async () => {
    const { host, token } = await world.add('box', 8);
    await world.enrol(token, gpuFacts(4));
    expect((await world.host(host.id)).slotCount).toBe(4);
    expect((await world.hostOffers()).map((o) => o.count)).toEqual([1, 2, 4]);
  });

  it('has a name of its own, and the refusal says the way back', async () => {
    await world.add('box', 1);
    await expect(world.add('box', 1)).rejects.toMatchObject({ code: 'host-name-taken', details: { field: 'name' } });
  });

  it('is not registered when what belongs to it fails', async () => {
    const of = { organizationId: world.organizationId, providerId: world.provider.id, name: 'x', slotCount: 1 };
    const also = () => Promise.reject(new Error('taken over'));
    await expect(
      world.broker.hosts.add({ ...of, pricePerSlotHour: 1n, region: 'r', country: null }, also),
    ).rejects.toThrow('taken over');
    expect([memory(world).rows(hosts), memory(world).rows(agents)]).toEqual([[], []]);
  });

  it('is lost when silent, leaves the market, and comes back when it speaks', async () => {
    const { host, token } = await world.add('box', 1);
    const { agentId } = await world.enrol(token, cpuFacts);
    world.clock.advance(90_000);
    await world.broker.hosts.observe();
    expect((await world.host(host.id)).state).toBe('ready');
    world.clock.advance(1);
    await world.broker.hosts.observe();
    expect([(await world.host(host.id)).state, await world.hostOffers()]).toEqual(['lost', []]);
    await world.store.transaction(WORKER, (tx) =>
      tx.update(agents, { id: agentId }, { lastSeenAt: world.clock.now() }),
    );
    await world.broker.hosts.observe();
    expect((await world.host(host.id)).state).toBe('ready');
    expect((await world.hostOffers())[0]?.observedAtMs).toBe(world.clock.now());
  });

  it('does not keep others from being looked after when something is wrong with it', async () => {
    const { host: broken, token: first } = await world.add('a-broken', 1);
    const { host, token } = await world.add('box', 1);
    await world.enrol(first, cpuFacts);
    await world.enrol(token, cpuFacts);
    const { catalog } = world.broker;
    const withdraw = catalog.withdraw.bind(catalog);
    catalog.withdraw = (tx, ids) =>
      ids.some((id) => id.includes(broken.id)) ? Promise.reject(new Error('bad facts')) : withdraw(tx, ids);
    world.clock.advance(90_001);
    await expect(world.broker.hosts.observe()).rejects.toThrow('1 of 2 hosts could not be looked after');
    expect((await world.host(host.id)).state).toBe('lost');
  });

  it('keeps its offers fresh while it is there, without a new version', async () => {
    const { host, token } = await world.add('box', 1);
    const { agentId } = await world.enrol(token, cpuFacts);
    const { version } = await world.host(host.id);
    // The catalog writes what stays the same every five minutes only.
    world.clock.advance(5 * MINUTE);
    await world.store.transaction(WORKER, (tx) =>
      tx.update(agents, { id: agentId }, { lastSeenAt: world.clock.now() }),
    );
    await world.broker.hosts.observe();
    expect((await world.hostOffers())[0]?.observedAtMs).toBe(world.clock.now());
    expect((await world.host(host.id)).version).toBe(version);
  });

  it('is not blamed for the time in which the broker was away', async () => {
    const { host, token } = await world.add('box', 1);
    const { agentId } = await world.enrol(token, cpuFacts);
    await world.store.transaction(WORKER, (tx) => tx.update(agents, { id: agentId }, { lastSeenAt: 0 }));
    await world.broker.hosts.observe();
    expect((await world.host(host.id)).state).toBe('ready');
  });

  it('that is taken out leaves the market for good, with its agent and its unused tokens', async () => {
    const { host, token } = await world.add('box', 1);
    const { credential } = await world.enrol(token, cpuFacts);
    const { host: never, token: unused } = await world.add('never', 1);
    await world.store.transaction(WORKER, async (tx) => {
      await world.broker.hosts.remove(tx, world.organizationId, host.id);
      await world.broker.hosts.remove(tx, null, never.id);
    });
    expect([(await world.host(host.id)).state, await world.hostOffers()]).toEqual(['cordoned', []]);
    expect(await world.broker.agents.authenticate(credential)).toBeNull();
    await expect(world.enrol(unused, cpuFacts)).rejects.toMatchObject({ code: 'enrolment-refused' });
    await world.broker.hosts.observe();
    expect([(await world.host(host.id)).state, (await world.host(never.id)).state]).toEqual(['cordoned', 'cordoned']);
  });

  it('is taken out by its owner only', async () => {
    const { host } = await world.add('box', 1);
    await expect(
      world.store.transaction(WORKER, (tx) => world.broker.hosts.remove(tx, 'org_other', host.id)),
    ).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('that is invited again has one agent: older agents and tokens end', async () => {
    const { host, token } = await world.add('box', 1);
    const old = await world.enrol(token, cpuFacts);
    const again = () =>
      world.store.transaction(WORKER, async (tx) =>
        world.broker.hosts.reinvite(tx, await world.broker.hosts.remove(tx, null, host.id)),
      );
    const first = await again();
    expect((await world.host(host.id)).state).toBe('enrolling');
    const second = await again();
    await expect(world.enrol(first, cpuFacts)).rejects.toMatchObject({ code: 'enrolment-refused' });
    const now = await world.enrol(second, cpuFacts);
    expect(await world.broker.agents.authenticate(old.credential)).toBeNull();
    expect((await world.broker.agents.authenticate(now.credential))?.id).toBe(now.agentId);
    expect(await world.host(host.id)).toMatchObject({ state: 'ready', agentId: now.agentId });
    expect(
      memory(world)
        .rows(agents)
        .filter((a) => a.state !== 'gone'),
    ).toHaveLength(1);
  });
});
