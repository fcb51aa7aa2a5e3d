import { VendorError } from '#contracts';
import { WORKER, type Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { agents } from '#compute/agents';
import { noteOutcome, rememberFailure } from '#market/reliability';
import { bookEnd } from '../book-end.js';
import { isAlive } from '../decide.js';
import { usesOf } from '../leased-offer.js';
import { endReasons, leaseAttempts, leaseMachine, leases, type EndReason, type LeaseRow } from '../leases.table.js';
import { outcomeOfEnd } from '../outcomes.js';
import type { LeaseReconcilerDeps } from './deps.js';

/** How a lease ends: the tenant's clock stops, the machine goes, the vendor's clock stops, and everything that it held is given back. */
export class Ending {
  constructor(private readonly d: LeaseReconcilerDeps) {}

  /** Stops the tenant's clock and marks the machine for removal; the removal itself follows as its own step. */
  async beginTermination(lease: LeaseRow, reason: EndReason, message: string): Promise<'again'> {
    await this.tx(async (tx) => {
      const now = await tx.now();
      const { patch } = await this.d.leases.meter(tx, lease, now, { leaves: reason === 'released' });
      await transition(tx, leases, leaseMachine, lease, 'terminating', {
        patch: { ...patch, stateSince: now, message: `${reason}: ${message}` },
        wakeAt: now,
        message,
      });
      if (reason === 'failed' || reason === 'rejected')
        await rememberFailure(tx, lease.offer, { kind: 'boot-failed', scope: 'offer', message });
      if (reason === 'lost') await rememberFailure(tx, lease.offer, { kind: 'lost', scope: 'offer', message });
      await this.wakeJob(tx, lease);
    });
    return 'again';
  }

  /** Asks the vendor to terminate and believes it only when the vendor shows the machine gone. `nowMs` is before the vendor is asked. */
  async finishTermination(lease: LeaseRow, nowMs: number): Promise<'again' | 'rest'> {
    const { port } = this.d.vendors.of(lease.providerId);
    const againMs = Math.min(30_000, this.d.leases.times.pollMs * 2 ** Math.min(lease.failures, 4));
    try {
      if (lease.vendorId !== null) {
        await port.terminate(lease.vendorId);
        const machine = await port.get(lease.vendorId);
        if (machine !== null && isAlive(machine)) {
          await this.later(lease, againMs, lease.failures + 1);
          return 'rest';
        }
        // Within a window "not there" may be from before the machine was: ask again, both the end and the look.
        const staleForMs = lease.stateSince + port.describe().consistencyWindowMs - nowMs;
        if (machine === null && staleForMs > 0) {
          await this.later(lease, staleForMs);
          return 'rest';
        }
      }
    } catch (error) {
      if (!(error instanceof VendorError)) throw error;
      await this.later(lease, error.retryAfterMs ?? againMs, lease.failures + 1);
      return 'rest';
    }
    const [word, ...rest] = (lease.message ?? 'released').split(': ');
    const reason = endReasons.find((r) => r === word) ?? 'released';
    await this.tx((tx) => this.endMetered(tx, lease, reason, rest.join(': ') || 'the machine is gone'));
    return 'rest';
  }

  /** Ends a lease whose machine existed: the vendor's clock runs to now, the tenant's stopped when termination began. */
  async endMetered(tx: Tx, lease: LeaseRow, reason: EndReason, message: string): Promise<void> {
    const now = await tx.now();
    const chargeToMs = lease.state === 'terminating' ? (lease.chargedThrough ?? now) : now;
    const { patch } = await this.d.leases.meter(tx, lease, now, { end: { chargeToMs, costToMs: now } });
    await bookEnd(tx, this.d, lease, reason, patch.costThrough);
    // Where termination or draining was begun, the failure was remembered then: one loss is one strike.
    const remembered = lease.state === 'terminating' || lease.state === 'draining';
    if (!remembered && (reason === 'lost' || reason === 'preempted'))
      await rememberFailure(tx, lease.offer, { kind: reason, scope: 'offer', message });
    await this.end(tx, { ...lease }, reason, message, patch);
  }

  async end(
    tx: Tx,
    lease: LeaseRow,
    reason: EndReason,
    message: string,
    patch: Parameters<typeof transition<LeaseRow['state'], LeaseRow>>[5]['patch'] = {},
  ): Promise<void> {
    const now = await tx.now();
    await transition(tx, leases, leaseMachine, lease, 'ended', {
      patch: { ...patch, endReason: reason, endedAt: now, stateSince: now, message },
      wakeAt: null,
      message: `${reason}: ${message}`,
    });
    const outcome = outcomeOfEnd(lease, reason, message, now);
    if (outcome) await noteOutcome(tx, outcome);
    await this.retireAgent(tx, lease);
    await tx.update(leaseAttempts, { leaseId: lease.id, state: { in: ['created'] } }, { state: 'closed' });
    if (lease.holdId !== null) await this.d.holds.settle(tx, lease.holdId);
    await this.d.leases.quotas.release(tx, lease.id, Object.keys(usesOf(lease.offer)));
    if (lease.reservationId !== null) await this.d.leases.reservations.release(tx, lease.id);
    await this.wakeJob(tx, lease);
  }

  async retireAgent(tx: Tx, lease: LeaseRow): Promise<void> {
    if (lease.agentId === null) return;
    // A host's own agent outlives the lease; only an agent made for this lease ends with it.
    await tx.update(
      agents,
      { id: lease.agentId, kind: 'lease', state: { not: 'gone' } },
      { state: 'gone', credentialHash: null, tokenHash: null },
    );
  }

  async later(lease: LeaseRow, ms: number, failures = lease.failures): Promise<void> {
    await this.tx(async (tx) => {
      const now = await tx.now();
      await transition(tx, leases, leaseMachine, lease, lease.state, {
        patch: { failures },
        wakeAt: now + ms,
        message: '',
      });
    });
  }

  /** The job looks again at once; the job's own wake time stands in for a lost poke. */
  async wakeJob(tx: Tx, lease: LeaseRow): Promise<void> {
    const { jobId } = lease;
    if (jobId === null) return;
    tx.afterCommit(() => this.d.wake.wake('job', jobId).catch(() => undefined));
  }

  private tx<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.d.store.transaction(WORKER, work);
  }
}
