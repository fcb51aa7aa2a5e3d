import { chargeBetween, DomainError, newId, StaleVersion, type Clock, type Random } from '#kernel';
import type { Offer } from '#contracts';
import type { Patch, Tx } from '#platform/database';
import type { Reserved } from '#market/placement';
import type { Reservations } from '#market/reservations';
import { transition } from '#platform/reconcile';
import { Holds, Quotas, type Renewed } from '#money/quotas';
import { chargedUntil, costTail, priceOf, type ChargeTerms } from '#money/rating';
import { Metering, type MeteredAmounts } from '#money/metering';
import { leasedOffer, resourceOf, usesOf } from './leased-offer.js';
import { leaseMachine, leases, type LeaseRow } from './leases.table.js';
import type { LeaseTimes } from './decide.js';
import { burn, renewalFor } from './renewal.js';

export interface NewLease {
  readonly organizationId: string;
  readonly projectId: string;
  readonly jobId: string;
  readonly jobHoldId: string;
  readonly placementId: string | null;
  readonly offer: Offer;
  readonly terms: ChargeTerms;
  /** Its machine is one that is paid for already. */
  readonly reserved?: Reserved | null;
}

/** Rented machines, seen from those who use them: ask for one, attach, let go. What moves them is the reconciler. */
export class Leases {
  constructor(
    private readonly holds: Holds,
    private readonly metering: Metering,
    readonly quotas: Quotas,
    readonly reservations: Reservations,
    private readonly clock: Clock,
    private readonly random: Random,
    readonly times: LeaseTimes,
  ) {}

  /**
   * Intent to rent: the row, and its own hold carved from the job's. Null when the job's hold does not cover the first stretch.
   * Throws rate-limited, with nothing done, when a limit on leases or GPUs says no; StaleVersion when others have taken the reserved
   * machine: then the work is placed anew.
   */
  async request(tx: Tx, of: NewLease): Promise<LeaseRow | null> {
    const id = newId('lease', this.clock.now(), this.random);
    const basis = of.reserved?.basisPerHour ?? of.offer.pricePerHour;
    const rate = priceOf(basis, of.terms);
    const carve = await this.carve(tx, of.jobHoldId, id, rate, of.terms.leaseMinimumMs);
    if (carve === null) return null;
    const keyId = await this.quotas.keyOf(tx, of.jobHoldId);
    const { organizationId, projectId } = of;
    const amounts = usesOf(of.offer);
    try {
      await this.quotas.take(tx, { holder: id, organizationId, projectId, keyId }, amounts);
    } catch (error) {
      if (error instanceof DomainError) {
        await this.holds.settle(tx, carve, 'released');
        await this.takeBack(tx, error);
      }
      throw error;
    }
    const now = await tx.now();
    // Last: whoever else wants a machine of the reservation waits from here to the commit.
    const reservation = of.reserved ? await this.reservations.claim(tx, of.reserved.reservationIds, id) : null;
    if (of.reserved && !reservation) throw new StaleVersion('reservation', of.reserved.reservationIds.join(', '));
    const row: LeaseRow = {
      id,
      organizationId: of.organizationId,
      projectId: of.projectId,
      providerId: of.offer.providerId,
      offerId: of.offer.id,
      offer: leasedOffer(of.offer),
      placementId: of.placementId,
      jobId: of.jobId,
      holdId: carve,
      agentId: null,
      state: 'requested',
      want: 'run',
      endReason: null,
      message: null,
      vendorId: null,
      attemptN: 0,
      costPerHour: of.offer.pricePerHour,
      chargePerHour: rate,
      reservationId: reservation?.id ?? null,
      reservedUntil: reservation?.untilAt ?? null,
      basisPerHour: basis < of.offer.pricePerHour ? basis : null,
      chargeTerms: of.terms,
      requestedAt: now,
      bootedAt: null,
      acceptedAt: null,
      idleSince: null,
      keepUntil: null,
      drainUntil: null,
      graceUntil: null,
      endedAt: null,
      chargedThrough: null,
      costThrough: null,
      stateSince: now,
      failures: 0,
      version: 1,
      wakeAt: now,
    };
    await tx.insert(leases, row);
    return row;
  }

  /**
   * Gives an idle warm lease to a job of the same project. Throws StaleVersion when somebody else took it. A lease whose time is charged
   * nothing is never given: the job that takes it over may pay by time.
   */
  async attach(
    tx: Tx,
    lease: LeaseRow,
    to: { jobId: string; jobHoldId: string; placementId: string | null },
  ): Promise<LeaseRow | null> {
    if (isPaidByTokens(lease)) throw new RangeError(`${lease.id} is paid by the tokens of another job`);
    const carve = await this.carve(tx, to.jobHoldId, lease.id, lease.chargePerHour);
    if (carve === null) return null;
    const now = await tx.now();
    const { patch } = await this.meter(tx, lease, now, { settleHold: true });
    return transition(tx, leases, leaseMachine, lease, lease.state, {
      patch: {
        ...patch,
        jobId: to.jobId,
        holdId: carve,
        placementId: to.placementId,
        idleSince: null,
        keepUntil: null,
        graceUntil: null,
      },
      // Nothing changes for the machine: it is looked at when it was to be looked at.
      wakeAt: lease.wakeAt ?? now,
      type: 'lease.attached',
      message: `taken over warm by ${to.jobId}`,
    });
  }

  /**
   * The job is done with its lease. With `keepWarmMs` the machine stays for the project's next job and keeps being paid from a
   * hold of its own (when the credit covers it); else it is released. A machine at a lowered price is never kept: that price was made
   * for the work it did, and the next may be larger. Metered up to now in this transaction.
   */
  async letGo(tx: Tx, lease: LeaseRow, keepWarmMs: number): Promise<{ lease: LeaseRow; amounts: MeteredAmounts }> {
    const now = await tx.now();
    const keep =
      keepWarmMs > 0 && lease.state === 'ready' && lease.want === 'run' && !isPaidByTokens(lease) && !isLowered(lease)
        ? await this.keepHold(tx, lease, keepWarmMs)
        : null;
    const { patch, amounts } = await this.meter(tx, lease, now, { settleHold: true, leaves: keep === null });
    const after = await transition(tx, leases, leaseMachine, lease, lease.state, {
      patch: keep
        ? { ...patch, jobId: null, holdId: keep, idleSince: now, keepUntil: now + keepWarmMs, graceUntil: null }
        : { ...patch, want: 'release', jobId: null, holdId: null },
      wakeAt: keep ? Math.min(lease.wakeAt ?? now, now + keepWarmMs) : now,
      type: keep ? 'lease.kept-warm' : 'lease.let-go',
      message: keep ? `kept warm for ${Math.round(keepWarmMs / 1_000)} s` : 'no longer needed',
    });
    return { lease: after, amounts };
  }

  /** Lets a lease go that somebody decided to stop; its job looks for another machine. False: it had ended or was let go before. */
  async stop(tx: Tx, id: string, why: string): Promise<boolean> {
    const lease = await tx.first(leases, { id }, { lock: 'update' });
    if (!lease || lease.want === 'release' || leaseMachine.isTerminal(lease.state)) return false;
    await transition(tx, leases, leaseMachine, lease, lease.state, {
      patch: { want: 'release', message: `stopped: ${why}` },
      wakeAt: await tx.now(),
      type: 'lease.stopped',
      message: why,
    });
    return true;
  }

  /** The machines of a reservation that was ended cost their price from now on. */
  async endReserved(tx: Tx, { id, untilAt }: { readonly id: string; readonly untilAt: number }): Promise<number> {
    const having = { reservationId: id, state: { not: 'ended' as const }, reservedUntil: { gt: untilAt } };
    return (await tx.update(leases, having, { reservedUntil: untilAt, version: { add: 1 } })).length;
  }

  /** Stops as much borrowed work as keeps an owner from its own part, where the borrowers' policy lets it be stopped. */
  private async takeBack(tx: Tx, { details: { facts = {} } }: DomainError): Promise<void> {
    const { quotaId, limit, used, asked, room } = facts;
    if (typeof quotaId !== 'string') return;
    const n = (fact: unknown): bigint => BigInt(String(fact));
    // What goes beyond its own part it would borrow itself.
    if (n(asked) > n(limit) - n(used)) return;
    const lent = await this.quotas.lent(tx, quotaId);
    const going = new Set(
      (await tx.find(leases, { id: { in: lent.map((use) => use.holder) }, want: 'release' })).map((l) => l.id),
    );
    // What is let go already comes back by itself.
    let missing = lent.reduce((rest, use) => (going.has(use.holder) ? rest - use.amount : rest), n(asked) - n(room));
    for (const { holder, amount } of lent) {
      if (missing <= 0n) return;
      if (!going.has(holder) && (await this.stop(tx, holder, 'the owner of what it borrows wants it back')))
        missing -= amount;
    }
  }

  private async keepHold(tx: Tx, lease: LeaseRow, keepWarmMs: number): Promise<string | null> {
    const amountNano = burn(lease.chargePerHour, keepWarmMs + this.times.meterEveryMs);
    const { organizationId, projectId } = lease;
    try {
      return (await this.holds.take(tx, { organizationId, projectId, leaseId: lease.id, amountNano })).id;
    } catch (error) {
      // Too little credit or budget to keep it: then it is simply released. Any other failure is not for us to read as that.
      if (error instanceof DomainError && error.kind === 'payment-required') return null;
      throw error;
    }
  }

  private async carve(tx: Tx, jobHoldId: string, leaseId: string, rate: bigint, minimumMs = 0): Promise<string | null> {
    const least = burn(rate, Math.max(this.times.meterEveryMs, minimumMs));
    const wanted = burn(rate, this.times.holdAheadMs + this.times.meterEveryMs);
    return (await this.holds.carve(tx, jobHoldId, leaseId, wanted, least))?.id ?? null;
  }

  /** Lets a lease's hold pay for what has run and for a stretch ahead; null where it has none that is open. */
  async renew(tx: Tx, lease: LeaseRow, nowMs: number): Promise<Renewed | null> {
    if (lease.holdId === null) return null;
    const renewed = await this.holds.renewMany(tx, { [lease.holdId]: renewalFor(lease, nowMs, this.times) });
    return renewed[lease.holdId] ?? null;
  }

  /**
   * Meters a lease up to `nowMs` and returns the marks that the caller must put into its guarded update of the lease: the update's
   * version guard is what makes the interval once-only. Throws StaleVersion when somebody else has metered from the same instant.
   * `end` closes the vendor's side in the vendor's own increments; `settleHold` gives back what the hold has left after this;
   * `leaves`: the tenant lets the machine go, and the price book's least time counts.
   */
  async meter(
    tx: Tx,
    lease: LeaseRow,
    nowMs: number,
    {
      end,
      settleHold = false,
      leaves = false,
    }: { end?: { chargeToMs: number; costToMs: number }; settleHold?: boolean; leaves?: boolean } = {},
  ): Promise<{ patch: Patch<LeaseRow>; amounts: MeteredAmounts }> {
    const chargeFrom = lease.chargedThrough ?? lease.acceptedAt;
    const costFrom = lease.costThrough ?? lease.bootedAt;
    const stopped = lease.holdId === null || lease.state === 'terminating';
    const chargeTo =
      leaves && lease.acceptedAt !== null && lease.chargeTerms !== null
        ? chargedUntil(lease.acceptedAt, nowMs, lease.chargeTerms)
        : (end?.chargeToMs ?? nowMs);
    const usedTo = end?.costToMs ?? nowMs;
    let costTo = usedTo;
    // What was used within the reservation is paid for, and so is the rest of the vendor's step.
    const isPaid = lease.reservedUntil !== null && usedTo <= lease.reservedUntil;
    if (end && !isPaid && lease.bootedAt !== null && costFrom !== null) {
      const { billedMs } = costTail(lease.costPerHour, lease.bootedAt, usedTo, lease.offer.billing);
      costTo = Math.max(costFrom, lease.bootedAt + billedMs);
    }
    // Somebody was late: the hold may not cover what its parent still pays for.
    if (!stopped && chargeFrom !== null && chargeTo - chargeFrom > this.times.holdAheadMs)
      await this.renew(tx, lease, chargeTo);
    const amounts = await this.metering.leaseTime(
      tx,
      {
        leaseId: lease.id,
        organizationId: lease.organizationId,
        projectId: lease.projectId,
        jobId: lease.jobId,
        providerId: lease.providerId,
        holdId: lease.holdId,
        resource: resourceOf(lease.offer),
        machine: {
          providerClass: lease.offer.providerKind,
          model: lease.offer.accelerator,
          sku: lease.offer.sku,
        },
        charge:
          // Let go (it has no hold then) or being terminated: the tenant's clock has stopped, the vendor's runs on.
          lease.acceptedAt === null || chargeFrom === null || stopped
            ? null
            : {
                perHour: lease.chargePerHour,
                startMs: lease.acceptedAt,
                fromMs: chargeFrom,
                toMs: Math.max(chargeFrom, chargeTo),
              },
        cost:
          lease.bootedAt === null || costFrom === null
            ? null
            : {
                perHour: lease.costPerHour,
                startMs: lease.bootedAt,
                fromMs: costFrom,
                toMs: Math.max(costFrom, costTo),
                usedToMs: usedTo,
                ...(lease.reservedUntil === null ? {} : { reservedToMs: lease.reservedUntil }),
              },
      },
      settleHold,
    );
    const patch: Patch<LeaseRow> = {
      ...(chargeFrom === null || stopped ? {} : { chargedThrough: Math.max(chargeFrom, chargeTo) }),
      ...(costFrom === null ? {} : { costThrough: Math.max(costFrom, costTo) }),
    };
    return { patch, amounts };
  }

  /** Idle leases of a project that its next job may take over at once. */
  async warm(tx: Tx, projectId: string, limit = 20): Promise<LeaseRow[]> {
    const idle = await tx.find(
      leases,
      { projectId, state: 'ready', want: 'run', jobId: { isNull: true } },
      { orderBy: [['id', 'asc']], limit },
    );
    return idle.filter((lease) => !isPaidByTokens(lease));
  }

  /** One of these leases that is idle and that no other transaction is taking; locked until this one ends. */
  claimIdle(tx: Tx, ids: readonly string[]): Promise<LeaseRow | null> {
    return tx.first(
      leases,
      { id: { in: ids }, state: 'ready', want: 'run', jobId: { isNull: true } },
      { orderBy: [['id', 'asc']], lock: 'skip-locked' },
    );
  }

  get(tx: Tx, id: string): Promise<LeaseRow | null> {
    return tx.first(leases, { id });
  }

  /** The leases whose work an agent does now. */
  ofAgent(tx: Tx, agentId: string): Promise<LeaseRow[]> {
    return tx.find(
      leases,
      { agentId, state: 'ready', want: 'run', jobId: { isNull: false } },
      { orderBy: [['id', 'asc']] },
    );
  }
}

function isPaidByTokens({ chargeTerms }: Pick<LeaseRow, 'chargeTerms'>): boolean {
  return chargeTerms?.paidBy === 'tokens';
}

/** Below the machine's own price: it is reserved, and what its work would have been done on otherwise was cheaper. */
function isLowered({ basisPerHour }: Pick<LeaseRow, 'basisPerHour'>): boolean {
  return basisPerHour !== null;
}

/** What the tenant will be charged for the time of a usable machine since it was last metered. */
export function unmeteredCharge(
  lease: Pick<LeaseRow, 'state' | 'acceptedAt' | 'chargedThrough' | 'chargePerHour'>,
  nowMs: number,
): bigint {
  const fromMs = lease.chargedThrough ?? lease.acceptedAt;
  if (fromMs === null || lease.acceptedAt === null || (lease.state !== 'ready' && lease.state !== 'draining'))
    return 0n;
  return chargeBetween(lease.chargePerHour, lease.acceptedAt, fromMs, Math.max(fromMs, nowMs));
}
