import type { Offer } from '#contracts';
import { DomainError, newId, notFound, type Clock, type Random } from '#kernel';
import { WORKER, type Store, type Tx } from '#platform/database';
import type { Awake } from '#platform/reconcile';
import { Agents, agents, type AgentRow } from '#compute/agents';
import { Catalog } from '#market/catalog';
import { soldGpus } from './host-gpus.js';
import { hostOfferIds, hostOffers } from './host-offers.js';
import { hostToFill, type HostState } from './host-packing.js';
import { hosts, slots, type HostRow } from './hosts.table.js';

export interface NewHost {
  readonly organizationId: string;
  readonly providerId: string;
  readonly name: string;
  readonly slotCount: number;
  readonly pricePerSlotHour: bigint;
  /** Slices that each GPU is offered in too; 1 = whole ones only. */
  readonly timeSlices?: number;
  readonly region: string;
  readonly country: string | null;
}

/** What a lease has of a host's GPUs. */
export interface Devices {
  readonly indices: readonly number[];
  readonly mig?: string;
}

const REINVITE = 'A host that was taken out comes back with a new token: POST /v1/hosts/{id}/invite.';

/** Registered machines: invited, enrolled by their agent, published as offers while they are ready. */
export class Hosts {
  constructor(
    private readonly store: Store,
    private readonly agentsOf: Agents,
    private readonly catalog: Catalog,
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly times: { readonly agentSilenceMs: number; readonly awake: Awake },
  ) {}

  /**
   * Registers a host and returns the one-time token its agent enrols with. A name that is there already: conflict. `also` runs
   * in the same transaction; what it throws undoes the registration.
   */
  async add(
    of: NewHost,
    also: (tx: Tx, added: { host: HostRow; token: string }) => Promise<void> = () => Promise.resolve(),
  ): Promise<{ host: HostRow; token: string }> {
    return this.store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      const id = newId('host', this.clock.now(), this.random);
      const row: HostRow = {
        id,
        ...of,
        timeSlices: of.timeSlices ?? 1,
        state: 'enrolling',
        agentId: null,
        createdAt: now,
        version: 1,
        wakeAt: null,
      };
      const [added] = await tx.insertNew(hosts, [row]);
      if (!added)
        throw new DomainError('conflict', 'host-name-taken', `A host named "${of.name}" is registered already.`, {
          field: 'name',
          fix: `Choose another name. ${REINVITE}`,
        });
      const { token } = await this.agentsOf.invite(tx, { organizationId: of.organizationId, hostId: id });
      await also(tx, { host: added, token });
      return { host: added, token };
    });
  }

  /**
   * A further token for a host whose agent lost its credential; the authority of its agents and of tokens not used yet ends. A
   * host that was taken out comes back with it.
   */
  async reinvite(tx: Tx, host: HostRow): Promise<string> {
    await this.agentsOf.retireOfHost(tx, host.id);
    await tx.update(hosts, { id: host.id, state: 'cordoned' }, { state: 'enrolling', version: { add: 1 } });
    return (await this.agentsOf.invite(tx, { organizationId: host.organizationId, hostId: host.id })).token;
  }

  /**
   * Its agent has enrolled: from now on it can be leased, with no more slots than it has GPUs of one kind. Only this agent speaks for it then.
   */
  async enrolled(tx: Tx, agent: AgentRow): Promise<void> {
    if (agent.hostId === null) return;
    const before = await tx.first(hosts, { id: agent.hostId, state: { not: 'cordoned' } }, { lock: 'update' });
    if (!before) throw new DomainError('conflict', 'host-removed', 'This host was taken out.', { fix: REINVITE });
    await this.withdraw(tx, before);
    await this.agentsOf.retireOfHost(tx, agent.hostId, agent.id);
    const gpus = agent.facts ? soldGpus(agent.facts).length : 0;
    const slotCount = gpus > 0 ? Math.min(before.slotCount, gpus) : before.slotCount;
    const ready = { agentId: agent.id, state: 'ready', slotCount, version: { add: 1 } } as const;
    const [host] = await tx.update(hosts, { id: agent.hostId }, ready);
    if (host) await this.publish(tx, host);
  }

  /** Takes a host out: no new leases; what runs there is ended as lost by its silence or released by its jobs. */
  async remove(tx: Tx, organizationId: string | null, id: string): Promise<HostRow> {
    const host = await tx.first(hosts, { id, ...(organizationId === null ? {} : { organizationId }) });
    if (!host) throw notFound('host', id);
    const [after] = await tx.update(hosts, { id }, { state: 'cordoned', version: { add: 1 } });
    await this.withdraw(tx, host);
    await this.agentsOf.retireOfHost(tx, host.id);
    return after ?? host;
  }

  /** Writes the host's offers anew: what is free now, seen now. */
  async publish(tx: Tx, host: HostRow): Promise<void> {
    const agent = host.agentId === null ? null : await tx.first(agents, { id: host.agentId });
    if (host.state !== 'ready' || !agent?.facts) return this.withdraw(tx, host);
    const taken = await tx.find(slots, { hostId: host.id });
    const list = hostOffers(host, agent.facts, taken, await tx.now());
    await this.catalog.publish(tx, list);
    // Its GPUs may have been cut anew.
    const there = new Set(list.map(({ id }) => id));
    await this.catalog.withdraw(
      tx,
      hostOfferIds(host).filter((id) => !there.has(id)),
    );
  }

  /**
   * The GPUs of leases by their driver's indices, lowest first, and the MIG instance where the lease has one of a GPU; a lease without
   * slots of a GPU is not there.
   */
  async devicesOf(tx: Tx, leaseIds: readonly string[]): Promise<Map<string, Devices>> {
    const taken = leaseIds.length === 0 ? [] : await tx.find(slots, { leaseId: { in: leaseIds } });
    const found = new Map<string, Devices>();
    for (const { leaseId, gpuIndex, device } of taken.toSorted((a, b) => (a.gpuIndex ?? 0) - (b.gpuIndex ?? 0)))
      if (gpuIndex !== null) {
        const indices = [...(found.get(leaseId)?.indices ?? []), gpuIndex];
        found.set(leaseId, device === null ? { indices } : { indices, mig: device });
      }
    return found;
  }

  /**
   * Of offers that are the same on several hosts the one to take, by the packing rule over what is free now; null where none of
   * them has room.
   */
  async toFill(tx: Tx, peers: readonly Offer[]): Promise<Offer | null> {
    const offerOf = new Map(peers.flatMap((o) => (o.via.kind === 'host' ? [[o.via.hostId, o] as const] : [])));
    const [first] = peers;
    if (!first || offerOf.size === 0) return null;
    const rows = await tx.find(
      hosts,
      { id: { in: [...offerOf.keys()] }, state: 'ready' },
      { orderBy: [['id', 'asc']] },
    );
    if (rows.length === 0) return null;
    const agentIds = rows.flatMap(({ agentId }) => agentId ?? []);
    const factsOf = new Map((await tx.find(agents, { id: { in: agentIds } })).map((a) => [a.id, a.facts]));
    const taken = await tx.find(slots, { hostId: { in: rows.map(({ id }) => id) } });
    const states = rows.flatMap((host): HostState[] => {
      const facts = host.agentId === null ? null : (factsOf.get(host.agentId) ?? null);
      return facts ? [{ host, facts, taken: taken.filter((slot) => slot.hostId === host.id) }] : [];
    });
    const host = hostToFill(states, first);
    return (host && offerOf.get(host.id)) ?? null;
  }

  private async withdraw(tx: Tx, host: HostRow): Promise<void> {
    await this.catalog.withdraw(tx, hostOfferIds(host));
  }

  /** Looks after all hosts: silent ones are lost and leave the catalog, those that speak again come back, offers stay fresh. */
  async observe(): Promise<void> {
    const all = await this.store.transaction(WORKER, (tx) => tx.find(hosts, { state: { in: ['ready', 'lost'] } }));
    // What one host says must not keep the others from being looked after.
    const failed: unknown[] = [];
    for (const { id } of all) await this.observeOne(id).catch((error: unknown) => failed.push(error));
    if (failed.length > 0)
      throw new AggregateError(
        failed,
        `${failed.length} of ${all.length} hosts could not be looked after: ${String(failed[0])}`,
      );
  }

  private observeOne(id: string): Promise<void> {
    return this.store.transaction(WORKER, async (tx) => {
      const host = await tx.first(hosts, { id }, { lock: 'update' });
      if (!host || host.agentId === null || (host.state !== 'ready' && host.state !== 'lost')) return;
      const agent = await tx.first(agents, { id: host.agentId });
      const now = await tx.now();
      const heard = Math.max(agent?.lastSeenAt ?? 0, host.state === 'ready' ? now - this.times.awake.forMs() : 0);
      const silent = now - heard > this.times.agentSilenceMs || agent?.state !== 'enrolled';
      const state = silent ? 'lost' : 'ready';
      const [after] = state === host.state ? [host] : await tx.update(hosts, { id }, { state, version: { add: 1 } });
      if (after) await this.publish(tx, after);
    });
  }
}
