import type { HostFacts, Offer } from '#contracts';
import { MemoryStore, WORKER } from '#platform/database';
import { offers, toOffer } from '#market/catalog';
import { openWorld, type World, type WorldOptions } from '#testing/world';
import { HostPort } from './host-port.js';
import { hosts, type HostRow } from './hosts.table.js';

export const INSTALL = 'ins_00000000000000000conform01';

export const cpuFacts: HostFacts = {
  hostname: 'h',
  os: 'linux',
  arch: 'x64',
  vcpus: 16,
  cpuModel: 'c',
  ramGiB: 64,
  diskFreeGiB: 100,
  gpus: [],
  gpuLink: 'none',
  agentVersion: '0',
  engines: [],
};

export function gpuFacts(count: number, name = 'NVIDIA H100 80GB HBM3', vramGiB = 79.6, gpuLink = 'NV18'): HostFacts {
  const gpus = Array.from({ length: count }, (_, index) => ({
    index,
    name,
    uuid: `GPU-${index}`,
    vramGiB,
    driverVersion: '550',
  }));
  return { ...cpuFacts, vcpus: 128, ramGiB: 1_024, gpus, gpuLink };
}

/** The same machine with MIG on for some of its GPUs, cut into these instances. */
export function withMig(facts: HostFacts, cuts: Readonly<Record<number, readonly string[]>>): HostFacts {
  return {
    ...facts,
    gpus: facts.gpus.map((gpu) => {
      const own = cuts[gpu.index];
      return own ? { ...gpu, mig: own.map((profile, i) => ({ profile, uuid: `MIG-${gpu.index}-${i}` })) } : gpu;
    }),
  };
}

/** A world with registered hosts instead of rented machines. */
export interface HostWorld extends World {
  readonly port: HostPort;
  add(name: string, slotCount: number, timeSlices?: number): Promise<{ host: HostRow; token: string }>;
  enrol(token: string, facts: HostFacts): Promise<{ agentId: string; credential: string }>;
  host(id: string): Promise<HostRow>;
  hostOffers(): Promise<Offer[]>;
}

export async function openHosts(options: WorldOptions = {}): Promise<HostWorld> {
  const world = await openWorld(options);
  const { broker, store, organizationId } = world;
  const tx = <T>(work: Parameters<typeof store.transaction<T>>[1]): Promise<T> => store.transaction(WORKER, work);
  const provider = await tx((t) =>
    broker.providers.ensure(t, { organizationId, name: 'hosts', kind: 'bare-metal', adapter: 'host', marginBps: 0 }),
  );
  return {
    ...world,
    provider,
    port: new HostPort(store, broker.hosts, provider.id, INSTALL, world.clock),
    add: (name, slotCount, timeSlices = 1) =>
      broker.hosts.add({
        organizationId,
        providerId: provider.id,
        name,
        slotCount,
        pricePerSlotHour: 1_000_000_000n,
        timeSlices,
        region: 'lab',
        country: 'FI',
      }),
    enrol: (token, facts) => broker.agents.enrol(token, facts, (t, agent) => broker.onEnrolled(t, agent)),
    host: async (id) => {
      const row = await tx((t) => t.first(hosts, { id }));
      if (!row) throw new Error(`no host ${id}`);
      return row;
    },
    hostOffers: async () =>
      (await tx((t) => t.find(offers, { source: 'host' }, { orderBy: [['id', 'asc']] }))).map(toOffer),
  };
}

export const memory = (world: World): MemoryStore => world.store as MemoryStore;
