import type { Clock } from '#kernel';
import {
  VendorError,
  type CreateOutcome,
  type CreateRequest,
  type HostFacts,
  type Offer,
  type ProviderDescription,
  type ProviderPort,
  type VendorMachine,
} from '#contracts';
import { UniqueViolation, WORKER, type Store } from '#platform/database';
import { toOffer, offers } from '#market/catalog';
import { gpusTogether } from '#market/packing';
import { agents } from '#compute/agents';
import { GPU_SHARES, partFor, partKinds, startedGpus } from './gpu-parts.js';
import { domainsOf, idleGpus } from './host-gpus.js';
import { partOfferId } from './host-offers.js';
import { Hosts } from './hosts.service.js';
import { hosts, slots, type HostRow, type SlotRow } from './hosts.table.js';

/** A host frees its slots within seconds: busy is no reason to stay away for minutes. */
const BUSY_RETRY_MS = 2_000;

/**
 * Registered machines behind the same port as any vendor. Renting one is taking slots: a transaction in our own database, so
 * an outcome is never unknown and the same lease always gets the same slots.
 */
export class HostPort implements ProviderPort {
  constructor(
    private readonly store: Store,
    private readonly hostsOf: Hosts,
    private readonly providerId: string,
    private readonly installId: string,
    private readonly clock: Clock,
  ) {}

  describe(): ProviderDescription {
    return {
      name: 'host',
      clientTokens: true,
      consistencyWindowMs: 0,
      synchronousTerminate: true,
      billing: { minimumS: 0, incrementS: 0.001 },
    };
  }

  async *listOffers(): AsyncIterable<Offer> {
    const rows = await this.store.transaction(WORKER, (tx) => tx.find(offers, { providerId: this.providerId }));
    for (const row of rows) yield toOffer(row);
  }

  async create(request: CreateRequest): Promise<CreateOutcome> {
    const hostId = request.offer.via.kind === 'host' ? request.offer.via.hostId : null;
    const busy = (message: string): CreateOutcome => ({
      kind: 'failed',
      error: new VendorError('no-capacity', 'offer', message, BUSY_RETRY_MS),
      vendorId: null,
    });
    const late = (): CreateOutcome => ({
      kind: 'failed',
      error: new VendorError('transient', 'offer', 'not sent: send budget spent'),
      vendorId: null,
    });
    try {
      return await this.store.transaction(WORKER, async (tx) => {
        const host = hostId === null ? null : await tx.first(hosts, { id: hostId }, { lock: 'update' });
        // A process that stalled must not take slots for a lease that others have given up meanwhile.
        if (this.clock.now() >= request.sendBeforeMs) return late();
        if (!host || host.state !== 'ready') return busy('the host is not ready');
        const taken = await tx.find(slots, { hostId: host.id });
        const own = taken.filter((s) => s.leaseId === request.leaseId);
        if (own.length === 0) {
          const agent = host.agentId === null ? null : await tx.first(agents, { id: host.agentId });
          const free = freeSlots(host, taken, agent?.facts ?? null, request.offer);
          if (!free) return busy(`the host has not ${whatOf(request.offer)} free`);
          const { leaseId, attemptId } = request;
          const claimedAt = await tx.now();
          await tx.insert(
            slots,
            free.map((slot) => ({ hostId: host.id, ...slot, leaseId, attemptId, claimedAt })),
          );
          await this.hostsOf.publish(tx, host);
        }
        const [slot] = await tx.find(slots, { leaseId: request.leaseId }, { limit: 1 });
        if (!slot) return busy('the slots went to somebody else');
        return { kind: 'created', machine: this.machine(slot, host) };
      });
    } catch (error) {
      if (error instanceof UniqueViolation) return busy('the slots went to somebody else');
      return { kind: 'unknown', reason: error instanceof Error ? error.message : String(error) };
    }
  }

  async get(vendorId: string): Promise<VendorMachine | null> {
    return this.store.transaction(WORKER, async (tx) => {
      const slot = await tx.first(slots, { leaseId: vendorId });
      const host = slot ? await tx.first(hosts, { id: slot.hostId }) : null;
      return slot && host ? this.machine(slot, host) : null;
    });
  }

  async *list(installId: string): AsyncIterable<VendorMachine> {
    if (installId !== this.installId) return;
    const found = await this.store.transaction(WORKER, async (tx) => {
      const own = new Map((await tx.find(hosts, { providerId: this.providerId })).map((h) => [h.id, h]));
      const taken =
        own.size === 0
          ? []
          : await tx.find(slots, { hostId: { in: [...own.keys()] } }, { orderBy: [['leaseId', 'asc']] });
      return taken.flatMap((slot) => {
        const host = own.get(slot.hostId);
        return host ? [this.machine(slot, host)] : [];
      });
    });
    const seen = new Set<string>();
    for (const machine of found) {
      if (seen.has(machine.vendorId)) continue;
      seen.add(machine.vendorId);
      yield machine;
    }
  }

  async terminate(vendorId: string): Promise<void> {
    await this.store.transaction(WORKER, async (tx) => {
      const slot = await tx.first(slots, { leaseId: vendorId });
      if (!slot) return;
      const host = await tx.first(hosts, { id: slot.hostId }, { lock: 'update' });
      await tx.remove(slots, { leaseId: vendorId });
      if (host) await this.hostsOf.publish(tx, host);
    });
  }

  async probe(): Promise<void> {
    await this.store.transaction(WORKER, (tx) => tx.first(hosts, { providerId: this.providerId }));
  }

  private machine(slot: SlotRow, host: HostRow): VendorMachine {
    return {
      vendorId: slot.leaseId,
      state: host.state === 'ready' || host.state === 'cordoned' ? 'running' : 'unknown',
      installId: this.installId,
      leaseId: slot.leaseId,
      attemptId: slot.attemptId,
      createdAtMs: slot.claimedAt,
      billedFromMs: slot.claimedAt,
      address: null,
      interruptAtMs: null,
    };
  }
}

type Slot = Pick<SlotRow, 'n' | 'gpuIndex' | 'shareFrom' | 'shareTo' | 'device'>;
const WHOLE = { shareFrom: 0, shareTo: GPU_SHARES, device: null };

/**
 * Slots for one lease: a part of a GPU where that was offered, else GPUs of one NVLink domain where one could have them, or shares
 * of a CPU machine; null where they are not free.
 */
function freeSlots(
  host: HostRow,
  taken: readonly SlotRow[],
  facts: HostFacts | null,
  offer: Pick<Offer, 'id' | 'count' | 'isolation'>,
): Slot[] | null {
  const numbers = new Set(taken.map((s) => s.n));
  const lowest = (count: number): number[] =>
    Array.from({ length: count + taken.length }, (_, n) => n)
      .filter((n) => !numbers.has(n))
      .slice(0, count);
  if (offer.isolation) {
    const kinds = facts === null ? [] : partKinds(facts, host.timeSlices);
    const kind = kinds.find((k) => partOfferId(host, k) === offer.id);
    const part = kind && facts ? partFor(kind, facts, taken, host.slotCount) : null;
    return part && lowest(1).map((n) => ({ n, ...part }));
  }
  const wanted = Math.max(1, offer.count);
  if (facts === null || facts.gpus.length === 0)
    return taken.length + wanted > host.slotCount ? null : lowest(wanted).map((n) => ({ n, gpuIndex: null, ...WHOLE }));
  if (startedGpus(taken).size + wanted > host.slotCount) return null;
  const numbered = lowest(wanted);
  const gpus = gpusTogether(domainsOf(facts), idleGpus(facts, taken), wanted);
  return gpus?.map((gpuIndex, i) => ({ n: numbered[i] ?? 0, gpuIndex, ...WHOLE })) ?? null;
}

function whatOf({ isolation, sku, count }: Pick<Offer, 'isolation' | 'sku' | 'count'>): string {
  return isolation ? `a part ${sku}` : `${Math.max(1, count)} slots together`;
}
