import { DomainError, formatUsd, MINUTE, StaleVersion, type Clock } from '#kernel';
import type { Offer } from '#contracts';
import { WORKER, type Store, type Tx } from '#platform/database';
import { transition, type Reconciler } from '#platform/reconcile';
import type { Fallback, Reserved } from '#market/placement';
import { machineCostOf, warmOffer, type LeaseRow } from '#compute/leases';
import { Providers } from '#compute/providers';
import type { ChargeTerms, Prices } from '#money/rating';
import type { Quotes } from '#work/quotes';
import { atRiskS, fallbackOf, planned, workLeft } from './placing/deadline.js';
import { Closing, type ClosingDeps } from './closing.js';
import { nextJobAction } from './decide.js';
import { jobMachine, jobs, type JobFallback, type JobRow } from './jobs.table.js';
import { hasRateRoom, waitsTooLong } from './placing/rate-room.js';
import { capped, reservedFor } from './placing/reserved.js';

/** What the jobs room wants of placement: a stored decision and the offers in the order to try. */
export interface Placer {
  place(
    tx: Tx,
    request: {
      organizationId: string;
      projectId: string;
      jobId: string;
      workload: JobRow['workload'];
      avoidOffers: readonly string[];
      warm: readonly Offer[];
      atRiskS: number;
    },
  ): Promise<{
    placementId: string;
    best: Offer | null;
    why: string;
    /** Where the work must go at the latest when `best` may be taken away; only with a deadline. */
    fallback: Fallback | null;
    isLate: boolean;
    /** `best` is paid for already: by which reservations, and what the tenant's price is made from. */
    reserved?: Reserved | null;
  }>;
}

export interface JobReconcilerDeps extends ClosingDeps {
  readonly store: Store;
  readonly providers: Providers;
  readonly prices: Prices;
  readonly quotes: Pick<Quotes, 'machineFor'>;
  readonly placer: Placer;
  readonly clock: Clock;
}

/** What is rented for a job, and on which terms. */
interface Rental {
  readonly offer: Offer;
  readonly terms: ChargeTerms;
  readonly placementId: string;
  readonly reserved?: Reserved | null | undefined;
}

const WAIT_FOR_CAPACITY_MS = 2_000;
/** How often a job that should have moved looks for a machine to move to. */
const LOOK_FOR_SAFETY_MS = 30_000;

/** Drives each job from queued to its end: place, start, run, recover, settle. */
export class JobReconciler implements Reconciler {
  readonly kind = 'job';

  private readonly closing: Closing;

  constructor(private readonly d: JobReconcilerDeps) {
    this.closing = new Closing(d);
  }

  due(tx: Tx, nowMs: number, limit: number): Promise<JobRow[]> {
    return tx.find(jobs, { wakeAt: { lte: nowMs } }, { orderBy: [['wakeAt', 'asc']], limit });
  }

  /** Everything a job needs lies in our own database, so deciding and applying are one transaction. */
  step(id: string): Promise<'again' | 'rest'> {
    return this.d.store.transaction(WORKER, async (tx) => {
      // Locked: agents count into the row, and tenants cancel it; each waits for the other and reads what it left.
      const job = await tx.first(jobs, { id }, { lock: 'update' });
      if (!job) return 'rest';
      const lease = job.leaseId === null ? null : await this.d.leases.get(tx, job.leaseId);
      const now = await tx.now();
      const action = nextJobAction(job, lease, now);
      if (!['finish', 'fail', 'cancel'].includes(action.do) && (await this.costsTooMuch(tx, job, now))) {
        const reason = `tokens-below-machine: its machines have cost more than the ${formatUsd(job.capNano)} that its tokens may cost`;
        await this.closing.close(tx, job, lease, 'failed', reason, now);
        return 'rest';
      }
      switch (action.do) {
        case 'rest':
          if (lease && (await waitsTooLong(tx, this.d.leases.quotas, job, lease, now)))
            return this.leave(tx, job, lease, now);
          if (job.wakeAt !== action.untilMs && !jobMachine.isTerminal(job.state)) {
            await transition(tx, jobs, jobMachine, job, job.state, { wakeAt: action.untilMs, message: '' });
          }
          return 'rest';
        case 'place':
          return this.place(tx, job, now);
        case 'run':
          await transition(tx, jobs, jobMachine, job, 'running', {
            patch: { startedAt: job.startedAt ?? now, reason: null },
            wakeAt: now,
            message: `running on ${lease?.offer.sku ?? 'a machine'}`,
          });
          await this.d.leases.quotas.release(tx, job.holdId, ['jobs-queued']);
          if (lease) this.closing.ringAfter(tx, lease);
          return 'again';
        case 'replace':
          return this.replace(tx, job, lease, action.message, now);
        case 'move':
          return this.move(tx, job, lease, action.message, now);
        case 'finish':
          return this.closing.finish(tx, job, lease, now);
        case 'fail':
          await this.closing.close(tx, job, lease, 'failed', `${action.code}: ${action.message}`, now);
          return 'rest';
        case 'cancel':
          await this.closing.close(tx, job, lease, 'cancelled', 'cancelled by the tenant', now);
          return 'rest';
      }
    });
  }

  /** Whether the machines of a job that pays by tokens have cost more than it can ever bring: the expense is the broker's. */
  private async costsTooMuch(tx: Tx, job: JobRow, now: number): Promise<boolean> {
    if (job.tokenTerms === null || jobMachine.isTerminal(job.state)) return false;
    return (await machineCostOf(tx, job.holdId, now)) > job.capNano;
  }

  private async place(tx: Tx, job: JobRow, now: number): Promise<'again' | 'rest'> {
    // A machine that may be handed nothing would be paid for all the same.
    if (!(await hasRateRoom(tx, this.d.leases.quotas, job, now))) {
      const why = 'the limits on requests and tokens have no room now';
      return this.waitForRoom(tx, job, job.placementId, why, now, MINUTE - (now % MINUTE));
    }
    // A quote is for the first machine: whatever comes after it is at the market's price.
    const quoted = job.quoteId === null || job.leaseTries > 0 ? null : await this.d.quotes.machineFor(tx, job.quoteId);
    if (quoted && !('why' in quoted)) {
      const reserved = await reservedFor(tx, quoted.offer);
      return this.start(tx, job, { ...quoted, reserved, fallback: null, news: ' at the quoted price' }, now);
    }
    // A warm machine is paid for by its time: who pays for tokens would pay twice.
    const warm = job.tokenTerms === null ? await this.d.leases.warm(tx, job.projectId) : [];
    const idleOffers = warm.map((l) => warmOffer(l, now));
    let placed = await this.find(tx, job, now, idleOffers);
    // Where nothing is left that is not taken away, what may be taken away is better than nothing.
    if (placed.best === null && job.steadyOnly)
      placed = await this.find(tx, { ...job, steadyOnly: false }, now, idleOffers);
    const { placementId, best, why } = placed;
    const fallback = fallbackOf(job, placed.fallback);
    if (best === null) return this.waitForRoom(tx, job, placementId, why, now);
    const via = best.via;
    const chosen = via.kind === 'warm-lease' ? warm.find((l) => l.id === via.leaseId) : undefined;
    if (chosen) {
      // Machines of one offer are alike: jobs that come at once each take another of them.
      const idle = await this.d.leases.claimIdle(
        tx,
        warm.filter((l) => l.offerId === chosen.offerId).map((l) => l.id),
      );
      if (!idle) throw new StaleVersion('lease', chosen.id);
      const attached = await this.d.leases.attach(tx, idle, { jobId: job.id, jobHoldId: job.holdId, placementId });
      if (!attached) return this.capTooSmall(tx, job, now);
      await transition(tx, jobs, jobMachine, job, 'running', {
        patch: {
          leaseId: idle.id,
          placementId,
          startedAt: job.startedAt ?? now,
          leaseTries: job.leaseTries + 1,
          fallback,
          reason: null,
        },
        wakeAt: Math.min(now + 5_000, job.timeoutAt),
        message: `running on the project's warm ${idle.offer.sku}${planned(job, fallback, placed.isLate)}`,
      });
      await this.d.leases.quotas.release(tx, job.holdId, ['jobs-queued']);
      this.closing.ringAfter(tx, attached);
      return 'rest';
    }
    const terms = await this.termsOf(tx, job, best, now);
    const market = quoted ? `; at the market’s price, since ${quoted.why}` : '';
    const news = `${market}${planned(job, fallback, placed.isLate)}`;
    const reserved = await capped(placed.reserved, { offer: best, terms }, (elsewhere) =>
      this.termsOf(tx, job, elsewhere, now),
    );
    return this.start(tx, job, { offer: best, terms, placementId, reserved, fallback, news }, now);
  }

  private async start(
    tx: Tx,
    job: JobRow,
    on: Rental & { fallback: JobFallback | null; news: string },
    now: number,
  ): Promise<'rest'> {
    const { placementId, fallback, news } = on;
    const lease = await this.rent(tx, job, on);
    if (!lease) return this.capTooSmall(tx, job, now);
    if (lease instanceof DomainError) return this.waitForRoom(tx, job, placementId, lease.message, now);
    return this.begin(tx, job, lease, { placementId, fallback }, now, news);
  }

  /** The stored decision for what is left of the job. */
  private find(tx: Tx, job: JobRow, now: number, warm: readonly Offer[]): ReturnType<Placer['place']> {
    return this.d.placer.place(tx, {
      organizationId: job.organizationId,
      projectId: job.projectId,
      jobId: job.id,
      workload: workLeft(job, now),
      avoidOffers: job.triedOffers,
      warm,
      atRiskS: atRiskS(job),
    });
  }

  /** What is charged for a machine of the market. */
  private async termsOf(tx: Tx, job: JobRow, offer: Pick<Offer, 'providerId'>, now: number): Promise<ChargeTerms> {
    const { organizationId, projectId } = job;
    const basis = await this.d.providers.priceBasis(tx, offer.providerId);
    const byTime = await this.d.prices.termsFor(tx, { organizationId, projectId, ...basis }, now);
    return job.tokenTerms === null ? byTime : { ...byTime, paidBy: 'tokens', leaseMinimumMs: 0 };
  }

  /**
   * A lease for the job. Null = what is left of the cap does not cover its first minute; a limit that says no
   * is told like missing capacity.
   */
  private async rent(
    tx: Tx,
    job: JobRow,
    { offer, terms, placementId, reserved }: Rental,
  ): Promise<LeaseRow | DomainError | null> {
    const { organizationId, projectId, id: jobId, holdId: jobHoldId } = job;
    try {
      return await this.d.leases.request(tx, {
        organizationId,
        projectId,
        jobId,
        jobHoldId,
        placementId,
        offer,
        terms,
        ...(reserved ? { reserved } : {}),
      });
    } catch (error) {
      if (error instanceof DomainError && error.kind === 'rate-limited') return error;
      throw error;
    }
  }

  /** The job goes on with a lease that was just requested. */
  private async begin(
    tx: Tx,
    job: JobRow,
    lease: LeaseRow,
    patch: Partial<Pick<JobRow, 'placementId' | 'fallback' | 'steadyOnly'>>,
    now: number,
    plan = '',
  ): Promise<'rest'> {
    await transition(tx, jobs, jobMachine, job, 'starting', {
      patch: { ...patch, leaseId: lease.id, leaseTries: job.leaseTries + 1, reason: null },
      wakeAt: Math.min(now + 5_000, job.timeoutAt),
      message: `renting ${lease.offer.sku} in ${lease.offer.region}${plan}`,
    });
    tx.afterCommit(() => void this.d.wake.wake('lease', lease.id).catch(() => undefined));
    return 'rest';
  }

  private async waitForRoom(
    tx: Tx,
    job: JobRow,
    placementId: string | null,
    why: string,
    now: number,
    waitMs = WAIT_FOR_CAPACITY_MS,
  ): Promise<'rest'> {
    const to = job.state === 'queued' ? 'placing' : job.state;
    // The first look in vain after a machine was lost is told; the looks after it only keep the reason fresh.
    const tried = job.triedOffers.length > 0;
    await transition(tx, jobs, jobMachine, job, to, {
      patch: { reason: why, placementId, ...(tried ? { triedOffers: [] } : {}) },
      wakeAt: Math.min(now + waitMs, job.timeoutAt),
      message: `no machine yet: ${why}`,
      ...(tried ? { type: 'job.waiting' } : {}),
    });
    return 'rest';
  }

  private async capTooSmall(tx: Tx, job: JobRow, now: number): Promise<'rest'> {
    await this.closing.close(
      tx,
      job,
      null,
      'failed',
      'cost-cap-reached: what is left of the cost cap does not cover the first minute of the best machine',
      now,
    );
    return 'rest';
  }

  /**
   * From a machine that may be taken away to one that is not. The other one is found and paid for first: while there is none,
   * or what is left of the cap does not cover it, the job stays where it is and looks again.
   */
  private async move(tx: Tx, job: JobRow, lease: LeaseRow | null, message: string, now: number): Promise<'rest'> {
    const stay = async (why: string): Promise<'rest'> => {
      await transition(tx, jobs, jobMachine, job, job.state, {
        patch: { reason: `stays on a machine that may be taken away: ${why}` },
        wakeAt: Math.min(now + LOOK_FOR_SAFETY_MS, job.timeoutAt),
        message: '',
      });
      return 'rest';
    };
    const placed = await this.find(tx, { ...job, steadyOnly: true }, now, []);
    const { best, placementId } = placed;
    if (!best || best.pricing === 'spot') return stay(placed.why || 'there is no other');
    if (placed.isLate) return stay('any other would be late too');
    const terms = await this.termsOf(tx, job, best, now);
    const reserved = await capped(placed.reserved, { offer: best, terms }, (elsewhere) =>
      this.termsOf(tx, job, elsewhere, now),
    );
    const next = await this.rent(tx, job, { offer: best, terms, placementId, reserved });
    if (!next) return stay('what is left of the cost cap does not cover another');
    if (next instanceof DomainError) return stay(next.message);
    await this.closing.putBack(tx, job, lease);
    const left = await transition(tx, jobs, jobMachine, job, job.state === 'starting' ? 'placing' : 'recovering', {
      patch: { leaseId: null, fallback: null, reason: message },
      wakeAt: now,
      message: `${lease ? `${lease.offer.sku} in ${lease.offer.region}: ` : ''}${message}`,
    });
    return this.begin(tx, left, next, { placementId, steadyOnly: true }, now);
  }

  /** Lets a machine go that may be handed nothing for long; the job waits for room without one. */
  private async leave(tx: Tx, job: JobRow, lease: LeaseRow, now: number): Promise<'again'> {
    await this.closing.putBack(tx, job, lease);
    const message = 'the limits on requests and tokens leave its machine idle';
    await transition(tx, jobs, jobMachine, job, 'recovering', {
      // Not a machine that failed; but one that a quote was for.
      patch: { leaseId: null, leaseTries: Math.max(1, job.leaseTries - 1), fallback: null, reason: message },
      wakeAt: now,
      message: `${lease.offer.sku} in ${lease.offer.region} is let go: ${message}`,
    });
    tx.afterCommit(() => void this.d.wake.wake('lease', lease.id).catch(() => undefined));
    return 'again';
  }

  /** The machine is gone: its unfinished shards go back, finished ones stay. */
  private async replace(tx: Tx, job: JobRow, lease: LeaseRow | null, message: string, now: number): Promise<'again'> {
    await this.closing.putBack(tx, job, lease);
    const tried =
      lease && !job.triedOffers.includes(lease.offerId) ? [...job.triedOffers, lease.offerId] : job.triedOffers;
    await transition(tx, jobs, jobMachine, job, job.state === 'starting' ? 'placing' : 'recovering', {
      patch: { leaseId: null, triedOffers: tried, fallback: null, reason: message },
      wakeAt: now,
      message: `${lease ? `${lease.offer.sku} in ${lease.offer.region}: ` : ''}${message.replace(/\.+$/, '')}; looking for another machine`,
    });
    return 'again';
  }
}
