import { WORKER, type Tx } from '#platform/database';
import { transition, type Reconciler } from '#platform/reconcile';
import { agents } from '#compute/agents';
import { nextAction, type LeaseAction } from './decide.js';
import type { LeaseReconcilerDeps } from './driving/deps.js';
import { Ending } from './driving/ending.js';
import { Requesting } from './driving/requesting.js';
import { Running } from './driving/running.js';
import { leaseAttempts, leaseMachine, leases, type LeaseAttemptRow, type LeaseRow } from './leases.table.js';

/** Drives each lease from intent to a machine to its end. Each step is one action; see decide.ts for which, and driving/ for what each does. */
export class LeaseReconciler implements Reconciler {
  readonly kind = 'lease';
  private readonly ending: Ending;
  private readonly requesting: Requesting;
  private readonly running: Running;

  constructor(private readonly d: LeaseReconcilerDeps) {
    this.ending = new Ending(d);
    this.requesting = new Requesting(d, this.ending);
    this.running = new Running(d, this.ending);
  }

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
    return this.perform(lease, attempt, action, nowMs);
  }

  private async perform(
    lease: LeaseRow,
    attempt: LeaseAttemptRow | null,
    action: LeaseAction,
    nowMs: number,
  ): Promise<'again' | 'rest'> {
    switch (action.do) {
      case 'rest':
        await this.restUntil(lease, action.untilMs);
        return 'rest';
      case 'call':
        return this.requesting.call(lease);
      case 'take-over':
        return this.requesting.takeOver(lease, attempt);
      case 'look':
        return this.requesting.look(lease, attempt);
      case 'poll':
        return this.running.poll(lease);
      case 'accept':
        return this.running.accept(lease);
      case 'meter':
        return this.running.meterTick(lease);
      case 'terminate':
        return this.ending.beginTermination(lease, action.reason, action.message);
      case 'finish-terminate':
        return this.ending.finishTermination(lease, nowMs);
      case 'give-up':
        await this.tx((tx) => this.ending.end(tx, lease, action.reason, action.message));
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
}
