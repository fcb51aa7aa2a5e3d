import { normalizeAccelerator } from '#hardware';
import type { HostFacts, VendorMachine } from '#contracts';
import type { LeaseAttemptRow, LeaseRow } from './leases.table.js';

/** Times that rule a lease; every one may be set to something odd by a test. */
export interface LeaseTimes {
  /** A create call is never sent later than this after its intent was written. */
  readonly sendBudgetMs: number;
  /** Hard deadline of the call itself. */
  readonly callDeadlineMs: number;
  /** Most time from the call to a running machine, and from there to its agent. */
  readonly bootTimeoutMs: number;
  readonly pollMs: number;
  readonly meterEveryMs: number;
  /** An agent that is silent for so long is lost. */
  readonly agentSilenceMs: number;
  /** How often a create is tried on one offer before the lease gives up. */
  readonly maxAttempts: number;
  /** How long the machines of a superseded attempt are looked out for. */
  readonly watchMs: number;
  /** Running time that a lease's own hold covers ahead. */
  readonly holdAheadMs: number;
  /** How often the holds of running leases are renewed. */
  readonly renewEveryMs: number;
  /** How long a lease goes on that cannot be renewed, and how long before the end of that its work is told to save what it has. */
  readonly graceMs: number;
  readonly checkpointMs: number;
  /** Age at which a machine that no row wants is terminated. */
  readonly orphanGraceMs: number;
}

export const defaultLeaseTimes: LeaseTimes = {
  sendBudgetMs: 5_000,
  callDeadlineMs: 60_000,
  bootTimeoutMs: 20 * 60_000,
  pollMs: 2_000,
  meterEveryMs: 60_000,
  agentSilenceMs: 90_000,
  maxAttempts: 2,
  watchMs: 24 * 3_600_000,
  holdAheadMs: 60_000,
  renewEveryMs: 20_000,
  graceMs: 120_000,
  checkpointMs: 30_000,
  orphanGraceMs: 60_000,
};

export interface AgentFacts {
  readonly state: 'invited' | 'enrolled' | 'gone';
  readonly lastSeenAt: number | null;
  readonly facts: HostFacts | null;
}

export interface LeaseFacts {
  readonly nowMs: number;
  readonly attempt: LeaseAttemptRow | null;
  readonly agent: AgentFacts | null;
  readonly consistencyWindowMs: number;
  readonly acceptance: 'facts' | 'enrolled';
  /** Silence counts from the later of the agent's last word and this: the broker may itself have been away. */
  readonly awakeSinceMs: number;
}

export type LeaseAction =
  | { readonly do: 'call' }
  | { readonly do: 'take-over' }
  | { readonly do: 'look' }
  | { readonly do: 'poll' }
  | { readonly do: 'accept' }
  | { readonly do: 'meter' }
  | { readonly do: 'terminate'; readonly reason: NonNullable<LeaseRow['endReason']>; readonly message: string }
  | { readonly do: 'finish-terminate' }
  | { readonly do: 'give-up'; readonly reason: NonNullable<LeaseRow['endReason']>; readonly message: string }
  | { readonly do: 'rest'; readonly untilMs: number | null };

/** When another worker may conclude that the winner of a `calling` attempt will never answer: budget + deadline + the vendor's lag. */
export function takeOverAtMs(
  attempt: Pick<LeaseAttemptRow, 'intentAt'>,
  times: LeaseTimes,
  consistencyWindowMs: number,
): number {
  return attempt.intentAt + times.sendBudgetMs + times.callDeadlineMs + consistencyWindowMs;
}

/** The next action for a lease from what is known; pure. `poll` and `look` bring in what only the vendor knows. */
export function nextAction(lease: LeaseRow, facts: LeaseFacts, times: LeaseTimes): LeaseAction {
  const { nowMs, attempt } = facts;
  switch (lease.state) {
    case 'ended':
      return { do: 'rest', untilMs: null };
    case 'requested':
      if (lease.want === 'release')
        return { do: 'give-up', reason: 'released', message: 'released before anything was rented' };
      if (lease.attemptN >= times.maxAttempts)
        return { do: 'give-up', reason: 'failed', message: `no machine after ${lease.attemptN} tries` };
      // The first call never waits: its wake time is the moment of the request, by a clock that may be a little ahead.
      if (lease.attemptN > 0 && lease.wakeAt !== null && lease.wakeAt > nowMs)
        return { do: 'rest', untilMs: lease.wakeAt };
      return { do: 'call' };
    case 'calling': {
      const at = attempt ? takeOverAtMs(attempt, times, facts.consistencyWindowMs) : nowMs;
      return nowMs >= at ? { do: 'take-over' } : { do: 'rest', untilMs: at };
    }
    case 'unknown':
      return lease.wakeAt !== null && lease.wakeAt > nowMs ? { do: 'rest', untilMs: lease.wakeAt } : { do: 'look' };
    case 'provisioning':
      if (lease.want === 'release')
        return { do: 'terminate', reason: 'released', message: 'released while the machine was starting' };
      if (nowMs - lease.stateSince > times.bootTimeoutMs)
        return { do: 'terminate', reason: 'failed', message: 'the machine did not start in time' };
      return pollOrRest(lease, nowMs);
    case 'booting':
      if (lease.want === 'release')
        return { do: 'terminate', reason: 'released', message: 'released while the machine was booting' };
      if (facts.agent?.state === 'enrolled') {
        const mismatch = facts.acceptance === 'facts' && facts.agent.facts ? probe(lease, facts.agent.facts) : null;
        if (mismatch !== null) return { do: 'terminate', reason: 'rejected', message: mismatch };
        return { do: 'accept' };
      }
      if (nowMs - lease.stateSince > times.bootTimeoutMs)
        return { do: 'terminate', reason: 'failed', message: 'the machine runs but its agent never enrolled' };
      return pollOrRest(lease, nowMs);
    case 'ready':
    case 'draining': {
      if (lease.want === 'release') return { do: 'terminate', reason: 'released', message: 'released' };
      if (lease.drainUntil !== null && nowMs >= lease.drainUntil)
        return { do: 'terminate', reason: 'preempted', message: 'the vendor takes the machine back' };
      if (lease.graceUntil !== null && nowMs >= lease.graceUntil)
        return { do: 'terminate', reason: 'unpaid', message: 'the hold is used up' };
      if (lease.jobId === null && lease.keepUntil !== null && nowMs >= lease.keepUntil)
        return { do: 'terminate', reason: 'released', message: 'idle for as long as it was to be kept' };
      const heard = Math.max(facts.agent?.lastSeenAt ?? lease.stateSince, facts.awakeSinceMs);
      if (facts.agent?.state === 'gone' || nowMs - heard > times.agentSilenceMs)
        return { do: 'terminate', reason: 'lost', message: 'the agent has been silent for too long' };
      if (lease.chargedThrough !== null && nowMs - lease.chargedThrough >= times.meterEveryMs) return { do: 'meter' };
      return pollOrRest(lease, nowMs);
    }
    case 'terminating':
      return lease.wakeAt !== null && lease.wakeAt > nowMs
        ? { do: 'rest', untilMs: lease.wakeAt }
        : { do: 'finish-terminate' };
  }
}

function pollOrRest(lease: LeaseRow, nowMs: number): LeaseAction {
  return lease.wakeAt !== null && lease.wakeAt > nowMs ? { do: 'rest', untilMs: lease.wakeAt } : { do: 'poll' };
}

/** Compares what the agent measured with what was sold (D30); null = as sold. */
export function probe(lease: Pick<LeaseRow, 'offer'>, facts: HostFacts): string | null {
  const { accelerator, count, vramGiB, vcpus } = lease.offer;
  if (accelerator === 'CPU') {
    return vcpus !== null && facts.vcpus < vcpus * 0.9 ? `sold with ${vcpus} vCPUs, found ${facts.vcpus}` : null;
  }
  const found = facts.gpus.filter((g) => normalizeAccelerator(g.name, { vramGiB: g.vramGiB }) === accelerator);
  if (found.length < count) {
    const seen = facts.gpus.map((g) => g.name).join(', ') || 'no GPU';
    return `sold with ${count} x ${accelerator}, found ${seen}`;
  }
  const least = Math.min(...found.map((g) => g.vramGiB));
  return least < vramGiB * 0.9 ? `sold with ${vramGiB} GiB per GPU, found ${least} GiB` : null;
}

/** What a vendor's view of the machine means for a lease that should be alive. */
export function judgeMachine(
  lease: LeaseRow,
  machine: VendorMachine | null,
): 'gone' | 'starting' | 'running' | 'preempted' | 'failed' {
  if (machine === null) return 'gone';
  switch (machine.state) {
    case 'terminated':
    case 'stopping':
      return 'gone';
    case 'failed':
      return 'failed';
    case 'preempted':
      return 'preempted';
    case 'running':
      return 'running';
    case 'pending':
    case 'provisioning':
      return 'starting';
    case 'unknown':
      // A word we do not know changes nothing: go on believing what we believed.
      return lease.state === 'provisioning' ? 'starting' : 'running';
  }
}

/** True while the vendor still has (and bills) the machine. */
export function isAlive(machine: Pick<VendorMachine, 'state'>): boolean {
  return machine.state !== 'terminated' && machine.state !== 'failed' && machine.state !== 'preempted';
}
