import { chargeBetween } from '#kernel';
import { entries } from '#money/ledger';
import { usageRecords, type UsageRow } from '#money/metering';
import { leases, type LeaseRow } from '#compute/leases';
import { events } from '#platform/reconcile';
import type { History } from '../history.js';

type Must = (holdsTrue: boolean, what: string) => void;

/** Usage of a lease tiles its time without gap or overlap, ends where it must, costs what its time costs, and is what the ledger says. */
export function checkUsage(h: History, must: Must): void {
  const usage = h.store.rows(usageRecords);
  let charged = 0n;
  let full = 0n;
  for (const lease of h.store.rows(leases)) {
    for (const side of ['charge', 'cost'] as const) {
      const own = usage
        .filter((u) => u.leaseId === lease.id && u.meter === 'lease-time' && u.side === side)
        .sort((a, b) => a.fromAt - b.fromAt);
      const start = side === 'charge' ? lease.acceptedAt : lease.bootedAt;
      let at = start;
      for (const u of own) {
        must(u.fromAt === at, `${side} of ${lease.id} has a gap or overlap at ${u.fromAt}, expected ${at}`);
        must(monthOf(u.fromAt) === monthOf(u.toAt - 1), `${u.id} spans two months`);
        at = u.toAt;
      }
      const through = side === 'charge' ? lease.chargedThrough : lease.costThrough;
      must(own.length === 0 || at === through, `${side} of ${lease.id} ends at ${at}, its mark says ${through}`);
      if (side === 'charge') {
        const paid = sum(own);
        const due = start === null || at === null ? 0n : chargeBetween(lease.chargePerHour, start, start, at);
        must(paid <= due, `${lease.id} was charged ${paid} for time that costs ${due}`);
        charged += paid;
        full += due;
        const end = endOfCharge(h, lease);
        if (end !== null) must(at === end, `charge of ${lease.id} ends at ${at}, the tenant's clock stopped at ${end}`);
      } else if (start !== null && at !== null) {
        const due = chargeBetween(lease.costPerHour, start, start, at);
        must(sum(own) === due, `cost of ${lease.id} is ${sum(own)}, its time costs ${due}`);
      }
    }
  }
  const posted = h.store.rows(entries);
  const balance = (kind: string): bigint =>
    posted.reduce((a, e) => (e.accountId.startsWith(`${kind}:`) ? a + e.amountNano : a), 0n);
  const granted = -balance('grants');
  const credit = balance('credit');
  must(granted - credit === charged, `usage says ${charged}, the ledger ${granted - credit}`);
  // What holds did not cover is on the broker's own account, to the nano-dollar.
  const exposure = balance('exposure');
  must(exposure === charged - full, `time not covered costs ${full - charged}, the exposure account says ${exposure}`);
}

const sum = (rows: readonly UsageRow[]): bigint => rows.reduce((a, r) => a + r.amountNano, 0n);
const monthOf = (ms: number): number => new Date(ms).getUTCMonth();

/** The instant at which a lease stopped to be charged, as its events tell; null = it never was. */
function endOfCharge(h: History, lease: LeaseRow): number | null {
  if (lease.acceptedAt === null) return null;
  const own = h.store
    .rows(events)
    .filter((e) => e.subjectId === lease.id)
    .sort((a, b) => a.n - b.n);
  const stop = own.find((e) => e.type === 'lease.let-go' || e.type === 'lease.terminating' || e.type === 'lease.ended');
  return stop?.at ?? null;
}

/** Faults after which the lease may have ended while the vendor went on billing. */
const BILLED_ON = new Set(['terminate-lies', 'get-404-then-200', 'get-stale']);

/** The vendor's own bill against the cost that we booked, machine by machine. */
export function checkBill(h: History, must: Must): void {
  const usage = h.store.rows(usageRecords);
  for (const line of h.cloud.bill) {
    const lease = h.store.rows(leases).find((l) => l.vendorId === line.machineId);
    if (!lease || lease.bootedAt === null || lease.endedAt === null) continue;
    const cost = usage.filter((u) => u.leaseId === lease.id && u.side === 'cost');
    const booked = Number(cost.reduce((a, u) => a + u.quantity, 0n));
    const billed = line.seconds * 1_000;
    const incrementMs = lease.offer.billing.incrementS * 1_000;
    // We book until we know that it is gone, in whole increments.
    const noticedLate = Math.max(0, lease.endedAt - line.toMs);
    must(
      booked <= billed + noticedLate + incrementMs,
      `the vendor bills ${billed} ms for ${lease.id}, we booked ${booked} and knew ${noticedLate} ms late`,
    );
    const befallen = h.causes.kinds([line.machineId]).some((kind) => BILLED_ON.has(kind));
    must(
      befallen || booked >= billed - incrementMs,
      `the vendor bills ${billed} ms for ${lease.id}, we booked only ${booked}`,
    );
    must(lease.bootedAt >= line.fromMs, `${lease.id} booted before the vendor says so`);
    const undisturbed = h.causes.kinds([line.machineId, lease.id]).length === 0 && h.scenario.faults.length === 0;
    must(!undisturbed || noticedLate <= 15_000, `nobody noticed for ${noticedLate} ms that ${lease.id} is gone`);
  }
}
