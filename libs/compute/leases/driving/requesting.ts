import { newId, StaleVersion } from '#kernel';
import { VendorError, type CreateOutcome, type VendorMachine } from '#contracts';
import { WORKER, type Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { rememberFailure } from '#market/reliability';
import { isAlive, takeOverAtMs } from '../decide.js';
import { offerOfLease } from '../leased-offer.js';
import { leaseAttempts, leaseMachine, leases, type LeaseAttemptRow, type LeaseRow } from '../leases.table.js';
import type { LeaseReconcilerDeps } from './deps.js';
import type { Ending } from './ending.js';

/** From the intent to a machine: asks the vendor once per attempt, and looks where no answer came. */
export class Requesting {
  constructor(
    private readonly d: LeaseReconcilerDeps,
    private readonly ending: Ending,
  ) {}

  async call(lease: LeaseRow): Promise<'again' | 'rest'> {
    const { port, residentAgent } = this.d.vendors.of(lease.providerId);
    const times = this.d.leases.times;
    const n = lease.attemptN + 1;
    // Whoever sends has only this process's clock: the budget runs by it, from before the intent is written.
    const sendBeforeMs = this.d.clock.now() + times.sendBudgetMs;
    const intent = await this.tx(async (tx) => {
      const now = await tx.now();
      const attempt: LeaseAttemptRow = {
        id: newId('attempt', this.d.clock.now(), this.d.random),
        organizationId: lease.organizationId,
        projectId: lease.projectId,
        leaseId: lease.id,
        n,
        providerId: lease.providerId,
        state: 'calling',
        idempotencyKey: `${lease.id}-${n}`,
        intentAt: now,
        vendorId: null,
        errorKind: null,
        message: null,
        looks: 0,
        watchUntil: null,
      };
      const invited = residentAgent
        ? null
        : await this.d.agents.invite(tx, { organizationId: lease.organizationId, leaseId: lease.id });
      const calling = await transition(tx, leases, leaseMachine, lease, 'calling', {
        patch: { attemptN: n, stateSince: now, ...(invited ? { agentId: invited.agent.id } : {}) },
        wakeAt: takeOverAtMs(attempt, times, port.describe().consistencyWindowMs),
        message: `asking ${lease.offer.sku} in ${lease.offer.region}, try ${n}`,
      });
      await tx.insert(leaseAttempts, attempt);
      return { attempt, calling, token: invited?.token ?? '' };
    });
    const { attempt, calling, token } = intent;
    const outcome = await port.create({
      offer: offerOfLease(lease),
      installId: this.d.installId,
      leaseId: lease.id,
      attemptId: attempt.id,
      idempotencyKey: attempt.idempotencyKey,
      bootstrap: { brokerUrl: this.d.brokerUrl, enrolToken: token },
      sendBeforeMs,
      deadlineMs: times.callDeadlineMs,
    });
    try {
      await this.tx((tx) => this.applyOutcome(tx, calling, attempt, outcome));
    } catch (error) {
      // Taken over meanwhile: leave what we learned on the attempt, so that its machine is found and terminated.
      if (error instanceof StaleVersion) await this.tx((tx) => noteLateOutcome(tx, attempt, outcome));
      throw error;
    }
    return 'again';
  }

  private async applyOutcome(tx: Tx, lease: LeaseRow, attempt: LeaseAttemptRow, outcome: CreateOutcome): Promise<void> {
    const now = await tx.now();
    if (outcome.kind === 'created') return this.adopt(tx, lease, attempt, outcome.machine);
    if (outcome.kind === 'unknown') {
      await transition(tx, leases, leaseMachine, lease, 'unknown', {
        patch: { stateSince: now },
        wakeAt: now + this.d.vendors.of(lease.providerId).port.describe().consistencyWindowMs,
        message: `no answer from the vendor: ${outcome.reason}`,
      });
      await tx.update(
        leaseAttempts,
        { id: attempt.id, state: 'calling' },
        { state: 'unknown', message: outcome.reason },
      );
      return;
    }
    const { error, vendorId } = outcome;
    await tx.update(
      leaseAttempts,
      { id: attempt.id, state: 'calling' },
      { state: 'failed', errorKind: error.kind, message: error.message.slice(0, 500), vendorId },
    );
    await rememberFailure(tx, lease.offer, error);
    if (vendorId !== null) {
      // The vendor left a machine behind with its error: it is ours to remove before the lease ends.
      await transition(tx, leases, leaseMachine, lease, 'terminating', {
        patch: { vendorId, endReason: null, stateSince: now, message: `rejected: ${error.message}` },
        wakeAt: now,
        message: `${error.kind}, and a machine was left behind`,
      });
      return;
    }
    if (
      (error.kind === 'transient' || error.kind === 'rate-limited') &&
      attempt.n < this.d.leases.times.maxAttempts &&
      lease.want === 'run'
    ) {
      await transition(tx, leases, leaseMachine, lease, 'requested', {
        patch: { stateSince: now },
        wakeAt: now + (error.retryAfterMs ?? 2_000 * attempt.n),
        message: `${error.kind}: ${error.message}`,
      });
      return;
    }
    await this.ending.end(tx, lease, 'rejected', `${error.kind}: ${error.message}`);
  }

  private async adopt(tx: Tx, lease: LeaseRow, attempt: LeaseAttemptRow, machine: VendorMachine): Promise<void> {
    const now = await tx.now();
    await transition(tx, leases, leaseMachine, lease, 'provisioning', {
      patch: { vendorId: machine.vendorId, stateSince: now, failures: 0 },
      wakeAt: now,
      message: `machine ${machine.vendorId} is starting`,
    });
    await tx.update(leaseAttempts, { id: attempt.id }, { state: 'created', vendorId: machine.vendorId });
  }

  async takeOver(lease: LeaseRow, attempt: LeaseAttemptRow | null): Promise<'again'> {
    await this.tx(async (tx) => {
      const now = await tx.now();
      await transition(tx, leases, leaseMachine, lease, 'unknown', {
        patch: { stateSince: now },
        wakeAt: now,
        message: 'the caller never came back: looking at the vendor',
      });
      if (attempt) await tx.update(leaseAttempts, { id: attempt.id, state: 'calling' }, { state: 'unknown' });
    });
    return 'again';
  }

  /** After an unknown outcome: only look, twice, one window apart; never re-send that attempt. */
  async look(lease: LeaseRow, attempt: LeaseAttemptRow | null): Promise<'again' | 'rest'> {
    const { port } = this.d.vendors.of(lease.providerId);
    const windowMs = port.describe().consistencyWindowMs;
    let found: VendorMachine | null = null;
    try {
      for await (const machine of port.list(this.d.installId)) {
        if (isAlive(machine) && attempt !== null && machine.attemptId === attempt.id) found ??= machine;
      }
    } catch (error) {
      if (!(error instanceof VendorError)) throw error;
      await this.ending.later(lease, error.retryAfterMs ?? this.d.leases.times.pollMs);
      return 'rest';
    }
    if (found !== null && attempt !== null) {
      const machine = found;
      await this.tx((tx) => this.adopt(tx, lease, attempt, machine));
      return 'again';
    }
    await this.tx(async (tx) => {
      const now = await tx.now();
      const looks = (attempt?.looks ?? 0) + 1;
      if (attempt && looks < 2) {
        await transition(tx, leases, leaseMachine, lease, 'unknown', {
          wakeAt: now + Math.max(windowMs, 1),
          message: '',
        });
        await tx.update(leaseAttempts, { id: attempt.id }, { looks });
        return;
      }
      if (attempt)
        await tx.update(
          leaseAttempts,
          { id: attempt.id },
          { state: 'superseded', looks, watchUntil: now + this.d.leases.times.watchMs },
        );
      if (lease.want === 'run' && lease.attemptN < this.d.leases.times.maxAttempts) {
        await this.ending.retireAgent(tx, lease);
        await transition(tx, leases, leaseMachine, lease, 'requested', {
          patch: { stateSince: now, agentId: null },
          wakeAt: now,
          message: 'the vendor has no such machine: asking anew',
        });
      } else {
        await this.ending.end(
          tx,
          lease,
          lease.want === 'release' ? 'released' : 'failed',
          'the vendor never answered and has no such machine',
        );
      }
    });
    return 'again';
  }

  private tx<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.d.store.transaction(WORKER, work);
  }
}

async function noteLateOutcome(tx: Tx, attempt: LeaseAttemptRow, outcome: CreateOutcome): Promise<void> {
  const vendorId =
    outcome.kind === 'created' ? outcome.machine.vendorId : outcome.kind === 'failed' ? outcome.vendorId : null;
  if (vendorId !== null) await tx.update(leaseAttempts, { id: attempt.id }, { vendorId });
}
