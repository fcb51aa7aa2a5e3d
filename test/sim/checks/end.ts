import { holds, quotaUses } from '#money/quotas';
import { usageRecords } from '#money/metering';
import { leases } from '#compute/leases';
import { events } from '#platform/reconcile';
import { jobMachine, jobs, shards, type JobRow } from '#work/jobs';
import { leaseMachine } from '#compute/leases';
import type { History } from '../history.js';
import { planJob } from '../scenario.js';
import { checkBooks } from './commit.js';
import { checkBill, checkUsage } from './usage.js';

/** What must hold when everything has come to rest; pushes what does not. */
export function checkEnd(h: History): void {
  const must = (holdsTrue: boolean, what: string): void => {
    if (!holdsTrue) h.failures.push(what);
  };
  checkBooks(h);
  for (const job of h.store.rows(jobs)) {
    must(job.chargedNano <= job.capNano, `job ${job.id} was charged ${job.chargedNano}, its cap is ${job.capNano}`);
    const own = h.store.rows(shards).filter((s) => s.jobId === job.id);
    const done = own.filter((s) => s.state === 'done');
    must(done.length === job.shardsDone, `job ${job.id} counts ${job.shardsDone} shards done, ${done.length} are`);
    must(
      done.reduce((a, s) => a + s.linesOk, 0) === job.linesOk,
      `job ${job.id} counts ${job.linesOk} lines, its shards say otherwise`,
    );
    if (job.state === 'succeeded') must(done.length === own.length, `job ${job.id} succeeded with unfinished shards`);
    for (const s of own)
      must(s.failures <= failuresTold(h, s.id), `shard ${s.id} failed ${s.failures} times, more than were told`);
  }
  const open = h.store.rows(holds).filter((r) => r.state === 'held');
  must(open.length === 0, `a hold is still open: ${open[0]?.id}`);
  const counted = h.store.rows(quotaUses);
  const holder = counted.find((u) => u.dimension !== 'spend' && u.dimension !== 'storage-bytes');
  must(holder === undefined, `${holder?.holder} has ended and still counts for ${holder?.dimension}`);
  const spent = counted.reduce((n, u) => n + (u.dimension === 'spend' ? u.amount : 0n), 0n);
  const paid = h.store.rows(usageRecords).reduce((n, u) => n + (u.side === 'charge' ? u.amountNano : 0n), 0n);
  must(spent === paid, `budgets count ${spent}, usage says ${paid}`);
  // After a restore the vendor bills what our books know nothing of, and jobs are missing that were there.
  if (h.restored) return;
  checkUsage(h, must);
  checkBill(h, must);
  checkEvents(h, must);
  checkOutcomes(h, must);
}

/** Fences under which an agent said that it gave the shard up. */
function failuresTold(h: History, shard: string): number {
  return [...h.reported].filter((r) => r.startsWith(`${shard}/`) && r.endsWith('/failed')).length;
}

type Must = (holdsTrue: boolean, what: string) => void;

/** The events of a row lead from its first state to its last, step by step. */
function checkEvents(h: History, must: Must): void {
  const all = h.store.rows(events);
  const check = (id: string, state: string, initial: string): void => {
    let at = initial;
    for (const e of all.filter((row) => row.subjectId === id).sort((a, b) => a.n - b.n)) {
      must(e.fromState === null || e.fromState === at, `${id} moved from ${e.fromState} while it was ${at}`);
      at = e.toState ?? at;
    }
    must(at === state, `${id} is ${state}, its events end at ${at}`);
  };
  for (const lease of h.store.rows(leases)) check(lease.id, lease.state, leaseMachine.initial);
  for (const job of h.store.rows(jobs)) check(job.id, job.state, jobMachine.initial);
}

/**
 * Faults change when and at what cost, not what comes out: a job that had enough money and time and that nobody cancelled ends as
 * without faults (that every such job succeeds there is checked by the histories without faults).
 */
function checkOutcomes(h: History, must: Must): void {
  const { seed, faults } = h.scenario;
  const rows = new Map<number, JobRow[]>();
  for (const job of h.store.rows(jobs)) {
    const n = Number(job.name.replace('job ', ''));
    rows.set(n, [...(rows.get(n) ?? []), job]);
  }
  const workFails = faults.some((f) => f.kind === 'work-failed' || f.kind === 'failed-then-done');
  for (const [n, [job]] of rows) {
    const plan = planJob(seed, n);
    if (!job) continue;
    if (job.state === 'cancelled') must(plan.cancelAfterMs !== null, `job ${n} was cancelled by nobody`);
    if (job.state === 'succeeded') {
      const lines = plan.kind === 'batch' ? plan.lines : 1;
      must(job.linesOk === lines, `job ${n} succeeded with ${job.linesOk} of ${lines} lines`);
    }
    if (job.state !== 'failed') continue;
    const reason = job.reason ?? '';
    const poor =
      reason.startsWith('cost-cap-reached') && (plan.poor || plan.maxCost === undefined || faults.length > 0);
    const late = reason.startsWith('timeout') && (plan.timeoutS < 1_000 || faults.length > 0);
    const broken = reason.includes('shards failed') && workFails;
    must(poor || late || broken, `job ${n} failed without a cause: ${reason}`);
  }
}
