import { HOUR } from '#kernel';
import { VendorError, type ProviderPort, type VendorMachine } from '#contracts';
import { WORKER, type Store } from '#platform/database';
import { Vendors } from '#compute/providers';
import { leaseAttempts, leases, type LeaseRow, type LeaseTimes } from '#compute/leases';
import { orphans, sweepPauses } from './orphans.table.js';
import { isDoubtful, judgeOrphan, mustBeShown, provesLostRecords, type Orphan, type Records } from './vendor-list.js';

export interface OrphanReport {
  repaired(net: string, kind: string, id: string): void;
  alarm(message: string): void;
  /** A list was not believed. */
  doubted(providerId: string): void;
  /** So many machines of this provider run on that nobody wants, until an administrator confirms them. */
  kept(providerId: string, machines: number): void;
}

export interface OrphanSweepDeps {
  readonly store: Store;
  readonly vendors: Vendors;
  readonly installId: string;
  readonly times: LeaseTimes;
  readonly report: OrphanReport;
}

export interface Swept {
  readonly seen: number;
  readonly terminated: readonly string[];
  /** Reported only. */
  readonly kept: readonly string[];
}

/** One answer of a vendor, compared with our rows. */
interface Compared {
  readonly seen: number;
  readonly orphans: readonly Orphan[];
  readonly known: number;
  readonly missing: readonly KnownLease[];
}
type KnownLease = LeaseRow & { vendorId: string };

/** So many machines are asked for at once, and in one sweep at most. */
const ASKED_AT_ONCE = 4;
const ASKED_AT_MOST = 100;

/**
 * Compares a vendor's list with our rows, for this installation's own machines only (invariant 3): a machine that no row wants is
 * terminated after a grace period; one of a superseded attempt at sight. What is in flight is left alone. No list ends a lease:
 * a machine that it lacks is asked for by itself. While the database may be older than what the vendor shows, orphans are
 * only reported.
 */
export class OrphanSweep {
  constructor(private readonly d: OrphanSweepDeps) {}

  async sweep(providerId: string): Promise<Swept> {
    let list = await this.take(providerId);
    if (list === null) return { seen: 0, terminated: [], kept: [] };
    if (!isDoubtful(list.known, list.missing.length)) await this.wake(list.missing);
    else {
      this.d.report.doubted(providerId);
      const lacked = `the list of ${providerId} lacks ${list.missing.length} of ${list.known} machines and is not believed`;
      list = (await this.take(providerId)) ?? list;
      if (isDoubtful(list.known, list.missing.length)) await this.confirm(providerId, list.missing, lacked);
      else this.d.report.alarm(`${lacked}; taken again, it lacks ${list.missing.length}`);
    }
    return { seen: list.seen, ...(await this.settle(providerId, list.orphans)) };
  }

  private async take(providerId: string): Promise<Compared | null> {
    const { store, vendors, installId, times } = this.d;
    const { port } = vendors.of(providerId);
    const askedAt = await store.transaction(WORKER, (tx) => tx.now());
    const shown = new Map<string, VendorMachine>();
    try {
      for await (const machine of port.list(installId)) shown.set(machine.vendorId, machine);
    } catch (error) {
      if (!(error instanceof VendorError)) throw error;
      return null;
    }
    // Not every vendor filters by tag.
    const own = [...shown.values()].filter((m) => m.installId === installId);
    // The list may be as old as the vendor's window when it is asked for, and older when it arrives: whose lease ended since
    // then may be shown alive and be gone.
    const listOfMs = askedAt - port.describe().consistencyWindowMs;
    const { records, known } = await this.records(providerId, own, listOfMs);
    return {
      seen: own.length,
      orphans: own.flatMap((m) => judgeOrphan(m, records, times.orphanGraceMs) ?? []),
      known: known.length,
      missing: known.filter((lease) => !shown.has(lease.vendorId)),
    };
  }

  private records(
    providerId: string,
    machines: readonly VendorMachine[],
    listOfMs: number,
  ): Promise<{ records: Records; known: KnownLease[] }> {
    const vendorIds = machines.map((m) => m.vendorId);
    const attemptIds = machines.flatMap((m) => (m.attemptId === null ? [] : [m.attemptId]));
    return this.d.store.transaction(WORKER, async (tx) => {
      const named = await tx.find(leases, { vendorId: { in: vendorIds } });
      const wanted = named.filter((l) => l.endedAt === null || l.endedAt >= listOfMs).map((l) => l.vendorId ?? '');
      const attempts = await tx.find(leaseAttempts, { id: { in: attemptIds } });
      // Only machines without an attempt are compared with the newest one.
      const untagged = attemptIds.length < machines.length;
      const newest = untagged ? await tx.first(leaseAttempts, {}, { orderBy: [['intentAt', 'desc']] }) : null;
      const living = await tx.find(leases, { providerId, endedAt: { isNull: true } });
      return {
        records: {
          wanted: new Set(wanted),
          attempts: new Map(attempts.map((a) => [a.id, a])),
          newestIntentAt: newest?.intentAt ?? 0,
        },
        known: living.filter((l): l is KnownLease => mustBeShown(l, listOfMs)),
      };
    });
  }

  /** Has each of these asked for by its own reconciler, which believes the vendor when it says twice that a machine is not there. */
  private async wake(missing: readonly KnownLease[]): Promise<void> {
    if (missing.length === 0) return;
    await this.d.store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      // One that was said to be not there waits for the second look, and no shorter.
      for (const { id, version } of missing)
        await tx.update(leases, { id, version, failures: 0, wakeAt: { gt: now } }, { wakeAt: now });
    });
  }

  /** Asks for each machine that a list lacks, a few at a time; only those that are not there are looked at further. */
  private async confirm(providerId: string, missing: readonly KnownLease[], lacked: string): Promise<void> {
    const { port } = this.d.vendors.of(providerId);
    const gone: KnownLease[] = [];
    let there = 0;
    let answers = true;
    for (let from = 0; answers && from < Math.min(missing.length, ASKED_AT_MOST); from += ASKED_AT_ONCE) {
      const group = missing.slice(from, Math.min(from + ASKED_AT_ONCE, ASKED_AT_MOST));
      const found = await Promise.all(group.map((lease) => ask(port, lease.vendorId)));
      group.forEach((lease, i) => {
        if (found[i] === 'there') there++;
        if (found[i] === 'gone') gone.push(lease);
      });
      answers = !found.includes('unanswered');
    }
    await this.wake(gone);
    const unasked = missing.length - there - gone.length;
    this.d.report.alarm(
      `${lacked}; asked one by one, ${there} are there, ${gone.length} are not, ${unasked} are not answered for yet`,
    );
  }

  /** Ends the orphans that are due, or keeps and reports them. */
  private async settle(
    providerId: string,
    found: readonly Orphan[],
  ): Promise<{ terminated: string[]; kept: string[] }> {
    const proofs = found.filter(provesLostRecords).map((o) => o.machine.vendorId);
    const { now, confirmed, paused, begun } = await this.standing(providerId, proofs);
    if (begun)
      this.d.report.alarm(
        `${providerId} shows machines of ours that the database does not know (${proofs.slice(0, 3).join(', ')}): ` +
          'it may be an older copy; orphans are reported and not terminated until an administrator confirms',
      );
    const due = found.filter((o) => o.dueAtMs <= now);
    const kept = due.filter((o) => !confirmed.has(o.machine.vendorId) && (paused || provesLostRecords(o)));
    const terminated: string[] = [];
    for (const orphan of due) {
      if (!kept.includes(orphan) && (await this.terminate(providerId, orphan)))
        terminated.push(orphan.machine.vendorId);
    }
    await this.note(providerId, due, kept);
    return { terminated, kept: kept.map((o) => o.machine.vendorId) };
  }

  /** Whether orphans are only reported; begins that where a machine proves that records are gone. */
  private standing(
    providerId: string,
    proofs: readonly string[],
  ): Promise<{ now: number; confirmed: ReadonlySet<string>; paused: boolean; begun: boolean }> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      const allowed = await tx.find(orphans, { providerId, confirmedAt: { isNull: false } });
      const confirmed = new Set(allowed.map((o) => o.vendorId));
      const open = proofs.filter((id) => !confirmed.has(id));
      const reason = `${providerId} shows machines of attempts that the database does not know`;
      const begun =
        open.length > 0 &&
        (await tx.insertNew(sweepPauses, [{ singleton: true, since: now, reason, byKeyId: null }])).length > 0;
      const paused = (await tx.first(sweepPauses, { singleton: true })) !== null;
      return { now, confirmed, paused, begun };
    });
  }

  private async terminate(providerId: string, { machine, reason }: Orphan): Promise<boolean> {
    const { vendors, report } = this.d;
    const { vendorId } = machine;
    try {
      await vendors.of(providerId).port.terminate(vendorId);
    } catch (error) {
      if (!(error instanceof VendorError)) throw error;
      report.alarm(
        `machine ${vendorId} of ${providerId} belongs to nobody and could not be terminated: ${error.message}`,
      );
      return false;
    }
    report.repaired(reason === 'superseded' ? 'superseded-machine' : 'orphan', 'machine', vendorId);
    return true;
  }

  /** Writes down what is kept and forgets what is shown no more. */
  private async note(providerId: string, due: readonly Orphan[], kept: readonly Orphan[]): Promise<void> {
    await this.d.store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      const known = await tx.find(orphans, { providerId });
      if (kept.length === 0 && known.length === 0) return;
      await tx.insertNew(
        orphans,
        kept.map(({ machine, reason }) => ({
          providerId,
          vendorId: machine.vendorId,
          leaseId: machine.leaseId,
          attemptId: machine.attemptId,
          reason,
          createdAt: machine.createdAtMs,
          firstSeenAt: now,
          seenAt: now,
          confirmedAt: null,
          confirmedBy: null,
        })),
      );
      const vendorIds = due.map((o) => o.machine.vendorId);
      await tx.update(orphans, { providerId, vendorId: { in: vendorIds } }, { seenAt: now });
      // A list may lack it by mistake, and one that is confirmed stays so until it has been gone for long.
      await tx.remove(orphans, { providerId, seenAt: { lt: now - FORGOTTEN_AFTER_MS } });
    });
    this.d.report.kept(providerId, kept.length);
  }
}

const FORGOTTEN_AFTER_MS = HOUR;

async function ask(port: ProviderPort, vendorId: string): Promise<'there' | 'gone' | 'unanswered'> {
  try {
    return (await port.get(vendorId)) === null ? 'gone' : 'there';
  } catch (error) {
    if (!(error instanceof VendorError)) throw error;
    return 'unanswered';
  }
}
