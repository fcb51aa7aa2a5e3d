import { accounts } from '#money/ledger';
import { holds } from '#money/quotas';
import { usageRecords } from '#money/metering';
import { events } from '#platform/reconcile';
import { leaseAttempts, leaseMachine, leases } from '#compute/leases';
import { jobMachine, jobs, shards } from '#work/jobs';
import { leaseTag, attemptTag } from '#adapters/sandbox-cloud';
import { countFaults } from './faults.js';
import type { History } from './history.js';

/** A history in which something that must hold does not. */
export class Broken extends Error {}

function must(holdsTrue: boolean, what: string): void {
  if (!holdsTrue) throw new Broken(what);
}

const ALIVE = new Set(['pending', 'provisioning', 'running']);
const BOOKS_EVERY = 97;

/** What must hold after every single event. */
export function checkAlways(h: History): void {
  const [failure] = h.failures;
  must(failure === undefined, `something threw: ${failure}`);
  checkMachines(h);
  if (h.kernel.events % BOOKS_EVERY === 0) checkBooks(h);
}

/** At most one living machine for a lease, but for superseded attempts (they are watched) and what the vendor doubled by itself. */
function checkMachines(h: History): void {
  const byLease = new Map<string, string[]>();
  for (const machine of h.cloud.machines()) {
    if (!ALIVE.has(machine.state)) continue;
    const lease = machine.request.tags[leaseTag] ?? 'none';
    byLease.set(lease, [...(byLease.get(lease) ?? []), machine.request.tags[attemptTag] ?? 'none']);
  }
  for (const [lease, attempts] of byLease) {
    if (attempts.length < 2) continue;
    const rows = new Map(h.store.rows(leaseAttempts).map((a) => [a.id, a]));
    const live = attempts.filter((id) => rows.get(id)?.state !== 'superseded');
    const doubledByVendor = h.faults.vendor.some((f) => f.kind === 'double-create') && new Set(live).size < live.length;
    must(live.length < 2 || doubledByVendor, `lease ${lease} has ${live.length} machines`);
  }
}

function checkBooks(h: History): void {
  const all = h.store.rows(accounts);
  must(all.reduce((a, r) => a + r.balanceNano, 0n) === 0n, 'the ledger does not sum to zero');
  for (const row of all) {
    must(row.balanceNano === row.availableNano + row.heldNano, `${row.id}: balance is not available + held`);
    if (row.bounded) must(row.availableNano >= 0n && row.heldNano >= 0n, `${row.id} is below zero`);
  }
  const open = h.store.rows(holds).filter((r) => r.state === 'held');
  const held = all.filter((a) => a.kind === 'credit').reduce((a, r) => a + r.heldNano, 0n);
  must(held === open.reduce((a, r) => a + r.remainingNano, 0n), 'held credit differs from what open holds have');
}

/** What must hold when the faults are long over. */
export function checkEnd(h: History): void {
  checkBooks(h);
  const jobRows = h.store.rows(jobs);
  const leaseRows = h.store.rows(leases);
  for (const job of jobRows) {
    must(jobMachine.isTerminal(job.state), `job ${job.id} is still ${job.state}: ${job.reason}`);
    must(job.chargedNano <= job.capNano, `job ${job.id} was charged more than its cap`);
    const own = h.store.rows(shards).filter((s) => s.jobId === job.id);
    const done = own.filter((s) => s.state === 'done');
    must(done.length === job.shardsDone, `job ${job.id} counts ${job.shardsDone} shards done, ${done.length} are`);
    must(
      done.reduce((a, s) => a + s.linesOk, 0) === job.linesOk,
      `job ${job.id} counts ${job.linesOk} lines, its shards say otherwise`,
    );
    if (job.state === 'succeeded') must(done.length === own.length, `job ${job.id} succeeded with unfinished shards`);
    for (const s of done)
      must(s.resultSha256 === `${s.id}-${s.fence}`, `shard ${s.id} holds the result of another fence`);
  }
  for (const lease of leaseRows)
    must(leaseMachine.isTerminal(lease.state), `lease ${lease.id} is still ${lease.state}: ${lease.message}`);
  must(
    h.store.rows(holds).every((r) => r.state !== 'held'),
    'a hold is still open',
  );
  const alive = h.cloud.machines().filter((m) => ALIVE.has(m.state));
  must(alive.length === 0, `${alive.length} machines still live: ${alive.map((m) => m.id).join(', ')}`);
  checkUsage(h);
  checkBill(h);
  checkEvents(h);
  checkRepairs(h);
}

function checkUsage(h: History): void {
  const usage = h.store.rows(usageRecords);
  for (const lease of h.store.rows(leases)) {
    for (const side of ['charge', 'cost'] as const) {
      const own = usage
        .filter((u) => u.leaseId === lease.id && u.meter === 'lease-time' && u.side === side)
        .sort((a, b) => a.fromAt - b.fromAt);
      let at = side === 'charge' ? lease.acceptedAt : lease.bootedAt;
      for (const u of own) {
        must(u.fromAt === at, `${side} of ${lease.id} has a gap or overlap at ${u.fromAt}`);
        at = u.toAt;
      }
      const through = side === 'charge' ? lease.chargedThrough : lease.costThrough;
      must(own.length === 0 || at === through, `${side} of ${lease.id} ends at ${at}, its mark says ${through}`);
    }
  }
  const charged = usage.filter((u) => u.side === 'charge').reduce((a, u) => a + u.amountNano, 0n);
  const all = h.store.rows(accounts);
  const granted = -(all.find((a) => a.kind === 'grants')?.balanceNano ?? 0n);
  const credit = all.find((a) => a.kind === 'credit')?.balanceNano ?? 0n;
  must(granted - credit === charged, `usage says ${charged}, the ledger ${granted - credit}`);
}

/** Longest time in which nobody may have noticed that a machine ended: a poll, a crash with its restart, the sweeper. */
const NOTICE_MS = 120_000;

/** The vendor's own bill against the cost that we booked, machine by machine. */
function checkBill(h: History): void {
  const usage = h.store.rows(usageRecords);
  for (const line of h.cloud.bill) {
    const lease = h.store.rows(leases).find((l) => l.vendorId === line.machineId);
    if (!lease || lease.bootedAt === null) continue;
    const booked = Number(
      usage.filter((u) => u.leaseId === lease.id && u.side === 'cost').reduce((a, u) => a + u.quantity, 0n),
    );
    must(
      Math.abs(booked - line.seconds * 1_000) <= NOTICE_MS,
      `the vendor bills ${line.seconds} s for ${lease.id}, we booked ${booked / 1_000} s`,
    );
  }
}

function checkEvents(h: History): void {
  const all = h.store.rows(events);
  const check = <S extends string>(
    id: string,
    state: S,
    machine: { can(from: S, to: S): boolean; initial: S },
  ): void => {
    let at: string = machine.initial;
    let n = 0;
    for (const e of all.filter((row) => row.subjectId === id).sort((a, b) => a.n - b.n)) {
      must(e.n > n, `events of ${id} are out of order`);
      n = e.n;
      if (e.fromState === null) continue;
      must(e.fromState === at, `${id} moved from ${e.fromState} while it was ${at}`);
      if (e.toState !== e.fromState)
        must(machine.can(e.fromState as S, e.toState as S), `${id} moved ${e.fromState} -> ${e.toState}`);
      at = e.toState ?? at;
    }
    must(at === state, `${id} is ${state}, its events end at ${at}`);
  };
  for (const lease of h.store.rows(leases)) check(lease.id, lease.state, leaseMachine);
  for (const job of h.store.rows(jobs)) check(job.id, job.state, jobMachine);
}

const LATE_OR_LOST = [
  'answer-lost-before-effect',
  'answer-lost-after-effect',
  'effect-late',
  'double-create',
  'failed-with-resource',
  'terminate-lies',
  'list-empty-by-mistake',
  'list-stale',
  'list-truncated',
  'get-404-then-200',
];
const OWN_SIDE = [
  'crash-worker',
  'crash-after-send',
  'crash-after-commit',
  'crash-before-send',
  'stall-before-send',
  'stall-after-answer',
];

/** A safety net that acted needs an injected cause (invariant 13). */
function checkRepairs(h: History): void {
  if (countFaults(h.faults) === 0) must(h.repairs.length === 0, `without a fault, ${h.repairs[0]?.net} had to act`);
  const vendorCause = h.faults.vendor.some((f) => LATE_OR_LOST.includes(f.kind));
  const ownCause = [...h.struck].some((k) => OWN_SIDE.includes(k));
  const queueCause = ownCause || [...h.struck].some((k) => k.startsWith('wake') || k === 'queue-emptied');
  for (const { net, id } of h.repairs) {
    if (net === 'direct-reconcile') must(queueCause || vendorCause, `${net} had to act for ${id} without a cause`);
    else must(vendorCause || ownCause, `${net} had to act for ${id} without a cause`);
  }
}
