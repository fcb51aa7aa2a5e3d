import { VendorError, type VendorMachine } from '#contracts';
import { WORKER, type Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { agents } from '#compute/agents';
import { noteOutcome, rememberFailure } from '#market/reliability';
import { judgeMachine } from '../decide.js';
import { leaseMachine, leases, type EndReason, type LeaseRow } from '../leases.table.js';
import { outcomeOfStart } from '../outcomes.js';
import { graceUntil } from '../renewal.js';
import type { LeaseReconcilerDeps } from './deps.js';
import type { Ending } from './ending.js';

/** From a machine to its last hour: what the vendor says of it, its acceptance, and what its time costs. */
export class Running {
  constructor(
    private readonly d: LeaseReconcilerDeps,
    private readonly ending: Ending,
  ) {}

  async poll(lease: LeaseRow): Promise<'again' | 'rest'> {
    const { port, residentAgent } = this.d.vendors.of(lease.providerId);
    const times = this.d.leases.times;
    let machine: VendorMachine | null;
    try {
      machine = lease.vendorId === null ? null : await port.get(lease.vendorId);
    } catch (error) {
      if (!(error instanceof VendorError)) throw error;
      await this.ending.later(lease, error.retryAfterMs ?? times.pollMs * 2);
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
        await this.ending.endMetered(
          tx,
          lease,
          reason,
          `the vendor says the machine is ${machine?.state ?? 'not there'}`,
        );
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
        await this.ending.wakeJob(tx, lease);
        return 'again';
      }
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
  async accept(lease: LeaseRow): Promise<'again'> {
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
      await this.ending.wakeJob(tx, lease);
    });
    return 'again';
  }

  async meterTick(lease: LeaseRow): Promise<'again'> {
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

  private tx<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.d.store.transaction(WORKER, work);
  }
}
