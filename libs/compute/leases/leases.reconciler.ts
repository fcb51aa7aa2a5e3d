import { newId, StaleVersion, type Clock, type Random } from '#kernel';
import { VendorError, type CreateOutcome, type VendorMachine } from '#contracts';
import { WORKER, type Store, type Tx } from '#platform/database';
import { transition, type Awake, type Reconciler, type WakeQueue } from '#platform/reconcile';
import { Agents, agents, type AgentRow } from '#compute/agents';
import { Vendors } from '#compute/providers';
import { noteOutcome, rememberFailure } from '#market/reliability';
import type { Ledger } from '#money/ledger';
import type { Disputes } from '#money/payouts';
import { Holds } from '#money/quotas';
import { isAlive, judgeMachine, nextAction, takeOverAtMs, type LeaseAction } from './decide.js';
import { bookEnd } from './book-end.js';
import { outcomeOfEnd, outcomeOfStart } from './outcomes.js';
import { Leases, offerOfLease, usesOf } from './leases.service.js';
import { graceUntil } from './renewal.js';
import {
  leaseAttempts,
  leaseMachine,
  leases,
  type EndReason,
  type LeaseAttemptRow,
  type LeaseRow,
} from './leases.table.js';

export interface LeaseReconcilerDeps {
  readonly store: Store;
  readonly vendors: Vendors;
  readonly leases: Leases;
  readonly agents: Agents;
  readonly holds: Holds;
  readonly ledger: Ledger;
  readonly disputes: Pick<Disputes, 'notice'>;
  readonly wake: WakeQueue;
  readonly clock: Clock;
  readonly random: Random;
  readonly installId: string;
  /** Where rented machines find the broker. */
  readonly brokerUrl: string;
  readonly awake: Awake;
}

/** Drives each lease from intent to a machine to its end. Each step is one action; see decide.ts for which. */
export class LeaseReconciler implements Reconciler {
  readonly kind = 'lease';

  constructor(private readonly d: LeaseReconcilerDeps) {}

  due(tx: Tx, nowMs: number, limit: number): Promise<LeaseRow[]> {
    return tx.find(leases, { wakeAt: { lte: nowMs } }, { orderBy: [['wakeAt', 'asc']], limit });
  }

  async step(id: string): Promise<'again' | 'rest'> {
    const { lease, attempt, agent, nowMs } = await this.d.store.transaction(WORKER, async (tx) => {
      // The database's clock: every time in the row is by it, and workers' own clocks differ.
      const nowMs = await tx.now();
      const lease = await tx.first(leases, { id });
      if (!lease) return { lease: null, attempt: null, agent: null, nowMs };
      const attempt =
        lease.state === 'calling' || lease.state === 'unknown'
          ? await tx.first(leaseAttempts, { leaseId: id, n: lease.attemptN })
          : null;
      const agent =
        lease.agentId !== null && lease.state !== 'ended' ? await tx.first(agents, { id: lease.agentId }) : null;
      return { lease, attempt, agent, nowMs };
    });
    if (!lease) return 'rest';
    const { port, acceptance } = await this.d.vendors.find(lease.providerId);
    const times = this.d.leases.times;
    const action = nextAction(
      lease,
      {
        nowMs,
        attempt,
        agent,
        consistencyWindowMs: port.describe().consistencyWindowMs,
        acceptance,
        awakeSinceMs: nowMs - this.d.awake.forMs(),
      },
      times,
    );
    return this.perform(lease, attempt, agent, action, nowMs);
  }

  private async perform(
    lease: LeaseRow,
    attempt: LeaseAttemptRow | null,
    agent: AgentRow | null,
    action: LeaseAction,
    nowMs: number,
  ): Promise<'again' | 'rest'> {
    switch (action.do) {
      case 'rest':
        await this.restUntil(lease, action.untilMs);
        return 'rest';
      case 'call':
        return this.call(lease);
      case 'take-over':
        return this.takeOver(lease, attempt);
      case 'look':
        return this.look(lease, attempt);
      case 'poll':
        return this.poll(lease, agent);
      case 'accept':
        return this.accept(lease);
      case 'meter':
        return this.meterTick(lease);
      case 'terminate':
        return this.beginTermination(lease, action.reason, action.message);
      case 'finish-terminate':
        return this.finishTermination(lease, nowMs);
      case 'give-up':
        await this.tx((tx) => this.end(tx, lease, action.reason, action.message));
        return 'rest';
    }
  }

  private tx<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.d.store.transaction(WORKER, work);
  }

  /** Keeps the wake time where the decision wants it; a write only when it differs. */
  private async restUntil(lease: LeaseRow, untilMs: number | null): Promise<void> {
    if (lease.wakeAt === untilMs) return;
    await this.tx((tx) =>
      transition(tx, leases, leaseMachine, lease, lease.state, { wakeAt: untilMs, message: '' }),
    ).catch((e: unknown) => {
      if (lease.state !== 'ended') throw e;
    });
  }

  private async call(lease: LeaseRow): Promise<'again' | 'rest'> {
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
    await this.end(tx, lease, 'rejected', `${error.kind}: ${error.message}`);
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

  private async takeOver(lease: LeaseRow, attempt: LeaseAttemptRow | null): Promise<'again'> {
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
  private async look(lease: LeaseRow, attempt: LeaseAttemptRow | null): Promise<'again' | 'rest'> {
    const { port } = this.d.vendors.of(lease.providerId);
    const windowMs = port.describe().consistencyWindowMs;
    let found: VendorMachine | null = null;
    try {
      for await (const machine of port.list(this.d.installId)) {
        if (isAlive(machine) && attempt !== null && machine.attemptId === attempt.id) found ??= machine;
      }
    } catch (error) {
      if (!(error instanceof VendorError)) throw error;
      await this.later(lease, error.retryAfterMs ?? this.d.leases.times.pollMs);
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
        await this.retireAgent(tx, lease);
        await transition(tx, leases, leaseMachine, lease, 'requested', {
          patch: { stateSince: now, agentId: null },
          wakeAt: now,
          message: 'the vendor has no such machine: asking anew',
        });
      } else {
        await this.end(
          tx,
          lease,
          lease.want === 'release' ? 'released' : 'failed',
          'the vendor never answered and has no such machine',
        );
      }
    });
    return 'again';
  }

  private async poll(lease: LeaseRow, agent: AgentRow | null): Promise<'again' | 'rest'> {
    const { port, residentAgent } = this.d.vendors.of(lease.providerId);
    const times = this.d.leases.times;
    let machine: VendorMachine | null;
    try {
      machine = lease.vendorId === null ? null : await port.get(lease.vendorId);
    } catch (error) {
      if (!(error instanceof VendorError)) throw error;
      await this.later(lease, error.retryAfterMs ?? times.pollMs * 2);
      return 'rest';
    }
    const verdict = judgeMachine(lease, machine);
    return this.tx(async (tx) => {
      const now = await tx.now();
      if (verdict === 'gone' || verdict === 'failed' || verdict === 'preempted') {
        // A first "not there" may be a stale read: believe it only when it is said again a window later.
        const windowMs = port.describe().consistencyWindowMs;
        if (machine === null && lease.failures < 1) {
          await transition(tx, leases, leaseMachine, lease, lease.state, {
            patch: { failures: lease.failures + 1 },
            wakeAt: now + Math.max(windowMs, 1),
            message: '',
          });
          return 'rest';
        }
        const reason: EndReason =
          verdict === 'preempted'
            ? 'preempted'
            : lease.state === 'provisioning' || lease.state === 'booting'
              ? 'failed'
              : 'lost';
        await this.endMetered(tx, lease, reason, `the vendor says the machine is ${machine?.state ?? 'not there'}`);
        return 'rest';
      }
      if (lease.state === 'provisioning') {
        if (verdict === 'starting') {
          await transition(tx, leases, leaseMachine, lease, lease.state, {
            patch: { failures: 0 },
            wakeAt: now + times.pollMs,
            message: '',
          });
          return 'rest';
        }
        const bootedAt = machine?.billedFromMs ?? now;
        const resident =
          residentAgent && lease.offer.hostId !== null
            ? await tx.first(agents, { hostId: lease.offer.hostId, state: 'enrolled' })
            : null;
        await transition(tx, leases, leaseMachine, lease, 'booting', {
          patch: {
            bootedAt: Math.min(bootedAt, now),
            stateSince: now,
            failures: 0,
            ...(resident ? { agentId: resident.id } : {}),
          },
          wakeAt: now,
          message: resident ? 'the host is up' : 'the machine runs; waiting for its agent',
        });
        return 'again';
      }
      if (lease.state === 'ready' && machine !== null && machine.interruptAtMs !== null && lease.drainUntil === null) {
        await transition(tx, leases, leaseMachine, lease, 'draining', {
          patch: { drainUntil: machine.interruptAtMs, stateSince: now },
          wakeAt: Math.min(machine.interruptAtMs, now + times.pollMs),
          message: 'the vendor will take the machine back: no new work',
        });
        await rememberFailure(tx, lease.offer, { kind: 'preempted', scope: 'offer', message: 'notice of preemption' });
        await this.wakeJob(tx, lease);
        return 'again';
      }
      void agent;
      const meterAt = (lease.chargedThrough ?? now) + times.meterEveryMs;
      const wakes = [
        now + (lease.state === 'booting' ? times.pollMs : Math.max(times.pollMs, 10_000)),
        meterAt,
        lease.keepUntil ?? Infinity,
        lease.drainUntil ?? Infinity,
        lease.graceUntil ?? Infinity,
      ];
      await transition(tx, leases, leaseMachine, lease, lease.state, {
        patch: { failures: 0 },
        wakeAt: Math.min(...wakes),
        message: '',
      });
      return 'rest';
    });
  }

  /** The agent is there and the machine is as sold: from now on the tenant pays. */
  private async accept(lease: LeaseRow): Promise<'again'> {
    await this.tx(async (tx) => {
      const now = await tx.now();
      await transition(tx, leases, leaseMachine, lease, 'ready', {
        patch: {
          acceptedAt: now,
          chargedThrough: now,
          stateSince: now,
          failures: 0,
          ...(lease.costThrough === null ? { costThrough: lease.bootedAt } : {}),
        },
        wakeAt: now + this.d.leases.times.pollMs,
        message: 'accepted: the machine is as sold',
      });
      await noteOutcome(tx, outcomeOfStart(lease, now));
      await this.wakeJob(tx, lease);
    });
    return 'again';
  }

  private async meterTick(lease: LeaseRow): Promise<'again'> {
    await this.tx(async (tx) => {
      const now = await tx.now();
      const renewed = await this.d.leases.renew(tx, lease, now);
      const { patch, amounts } = await this.d.leases.meter(tx, lease, now);
      const left = renewed ? BigInt(renewed.remainingNano) - amounts.chargedNano + BigInt(renewed.parentNano) : 0n;
      // An idle lease needs no grace: its hold lasts for as long as it is to be kept.
      const until = lease.jobId === null && left > 0n ? null : graceUntil(lease, left, now, this.d.leases.times);
      const begins = until !== null && lease.graceUntil === null;
      await transition(tx, leases, leaseMachine, lease, lease.state, {
        patch: { ...patch, graceUntil: until },
        wakeAt: Math.min(now + this.d.leases.times.pollMs, until ?? Infinity),
        message: begins ? `the hold is nearly used up: the machine stops at ${new Date(until).toISOString()}` : '',
        ...(begins ? { type: 'lease.grace' } : {}),
      });
    });
    return 'again';
  }

  /** Stops the tenant's clock and marks the machine for removal; the removal itself follows as its own step. */
  private async beginTermination(lease: LeaseRow, reason: EndReason, message: string): Promise<'again'> {
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
  private async finishTermination(lease: LeaseRow, nowMs: number): Promise<'again' | 'rest'> {
    const { port } = this.d.vendors.of(lease.providerId);
    try {
      if (lease.vendorId !== null) {
        await port.terminate(lease.vendorId);
        const machine = await port.get(lease.vendorId);
        if (machine !== null && isAlive(machine)) {
          await this.later(
            lease,
            Math.min(30_000, this.d.leases.times.pollMs * 2 ** Math.min(lease.failures, 4)),
            lease.failures + 1,
          );
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
      await this.later(
        lease,
        error.retryAfterMs ?? Math.min(30_000, this.d.leases.times.pollMs * 2 ** Math.min(lease.failures, 4)),
        lease.failures + 1,
      );
      return 'rest';
    }
    const [word, ...rest] = (lease.message ?? 'released').split(': ');
    const reason =
      (['released', 'failed', 'preempted', 'lost', 'rejected', 'expired', 'unpaid'] as const).find((r) => r === word) ??
      'released';
    await this.tx((tx) => this.endMetered(tx, lease, reason, rest.join(': ') || 'the machine is gone'));
    return 'rest';
  }

  /** Ends a lease whose machine existed: the vendor's clock runs to now, the tenant's stopped when termination began. */
  private async endMetered(tx: Tx, lease: LeaseRow, reason: EndReason, message: string): Promise<void> {
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

  private async end(
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
    await this.wakeJob(tx, lease);
  }

  private async retireAgent(tx: Tx, lease: LeaseRow): Promise<void> {
    if (lease.agentId === null) return;
    // A host's own agent outlives the lease; only an agent made for this lease ends with it.
    await tx.update(
      agents,
      { id: lease.agentId, kind: 'lease', state: { not: 'gone' } },
      { state: 'gone', credentialHash: null, tokenHash: null },
    );
  }

  private async later(lease: LeaseRow, ms: number, failures = lease.failures): Promise<void> {
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
  private async wakeJob(tx: Tx, lease: LeaseRow): Promise<void> {
    const { jobId } = lease;
    if (jobId === null) return;
    tx.afterCommit(() => this.d.wake.wake('job', jobId).catch(() => undefined));
  }
}

async function noteLateOutcome(tx: Tx, attempt: LeaseAttemptRow, outcome: CreateOutcome): Promise<void> {
  const vendorId =
    outcome.kind === 'created' ? outcome.machine.vendorId : outcome.kind === 'failed' ? outcome.vendorId : null;
  if (vendorId !== null) await tx.update(leaseAttempts, { id: attempt.id }, { vendorId });
}
