import { DomainError, formatUsd, newId, StateMachine, type Clock, type Random } from '#kernel';
import type { Tx } from '#platform/database';
import type { Ledger } from '#money/ledger';
import {
  holdCarve,
  holdExtend,
  holdRenewMany,
  holdSettle,
  holdTake,
  type Renewal,
  type Renewed,
} from './holds.procedures.js';
import { refused, tell } from './refusal.js';
import type { QuotaAmounts } from './quotas.procedures.js';
import { holds, type HoldRow, type HoldState } from './holds.table.js';

export const holdMachine = new StateMachine<HoldState>('hold', 'held', {
  held: ['settled', 'released', 'expired'],
  settled: [],
  released: [],
  expired: [],
});

export interface HoldRequest {
  readonly organizationId: string;
  readonly projectId: string;
  readonly jobId?: string;
  readonly leaseId?: string;
  /** The key that asks, where its limits count too. */
  readonly keyId?: string;
  readonly amountNano: bigint;
  /** What it counts for besides its amount (`jobs-queued`). */
  readonly quotas?: QuotaAmounts;
}

/**
 * Money set aside before anything is spent (invariant 9). A hold moves credit from available to held by one conditional
 * update; a lease carves its own hold out of the job's; spending takes from the carve; what is left goes back the same way.
 */
export class Holds {
  constructor(
    private readonly ledger: Ledger,
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** Throws payment-required with what is missing when the credit does not cover it, or with the limit that says no. */
  async take(tx: Tx, request: HoldRequest): Promise<HoldRow> {
    const { organizationId, projectId, amountNano } = request;
    notNegative(amountNano);
    const at = this.clock.now();
    const id = newId('hold', at, this.random);
    const [jobId, leaseId] = [request.jobId ?? null, request.leaseId ?? null];
    const keyId = request.keyId ?? null;
    const quotas = request.quotas ?? {};
    const of = { id, organizationId, projectId, jobId, leaseId, amountNano };
    const { taken, refusal, alerts } = await tx.call(holdTake, { ...of, keyId, at, quotas });
    if (taken) {
      await tell(tx, organizationId, alerts, this.random);
      return held({ ...of, parentId: null, createdAt: at });
    }
    if (refusal) throw refused(refusal);
    const credit = await this.ledger.creditOf(tx, organizationId);
    const availableNano = credit.availableNano + credit.creditLimitNano;
    throw new DomainError(
      'payment-required',
      'insufficient-credit',
      `This needs ${formatUsd(amountNano)} set aside and ${formatUsd(availableNano)} of credit is available: ${formatUsd(amountNano - availableNano)} is missing.`,
      {
        fix: 'Top up the credit, lower maxCost, or wait for running work to release its holds.',
        facts: {
          neededNano: String(amountNano),
          availableNano: String(availableNano),
          missingNano: String(amountNano - availableNano),
        },
      },
    );
  }

  /** Takes `wantedNano` of a job's hold for a lease, or what is left of it down to `leastNano`; null when less is left. */
  async carve(
    tx: Tx,
    parentId: string,
    leaseId: string,
    wantedNano: bigint,
    leastNano = wantedNano,
  ): Promise<HoldRow | null> {
    notNegative(leastNano);
    const createdAt = this.clock.now();
    const id = newId('hold', createdAt, this.random);
    const carved = await tx.call(holdCarve, { id, parentId, leaseId, leastNano, wantedNano, at: createdAt });
    const { amountNano, organizationId, projectId } = carved;
    if (amountNano === null || organizationId === null || projectId === null) return null;
    return held({ id, organizationId, projectId, parentId, jobId: null, leaseId, amountNano, createdAt });
  }

  /** Moves up to `wantedNano` more from the parent into an open carve; returns what could be moved. */
  async extend(tx: Tx, carve: HoldRow, wantedNano: bigint): Promise<bigint> {
    if (carve.parentId === null || wantedNano <= 0n) return 0n;
    return (await tx.call(holdExtend, { id: carve.id, wantedNano })).movedNano;
  }

  /** Renews parts of many holds in one call; those that have ended are not in the answer. */
  async renewMany(tx: Tx, renewals: Readonly<Record<string, Renewal>>): Promise<Readonly<Record<string, Renewed>>> {
    return (await tx.call(holdRenewMany, { renewals })).renewed;
  }

  get(tx: Tx, id: string): Promise<HoldRow | null> {
    return tx.first(holds, { id });
  }

  /** Marks `amountNano` of a hold as spent; the caller posts the matching ledger transaction with `from: 'held'`. False: less is left. */
  async spend(tx: Tx, id: string, amountNano: bigint): Promise<boolean> {
    notNegative(amountNano);
    if (amountNano === 0n) return true;
    const done = await tx.update(
      holds,
      { id, state: 'held', remainingNano: { gte: amountNano } },
      { remainingNano: { add: -amountNano } },
    );
    return done.length === 1;
  }

  /**
   * Ends a hold: what is left goes to the parent, or, where there is none or it has ended, back to available credit.
   * Answers what was left; null when the hold had ended before, and then nothing is done.
   */
  async settle(tx: Tx, id: string, as: Exclude<HoldState, 'held'> = 'settled'): Promise<bigint | null> {
    holdMachine.assert('held', as);
    return (await tx.call(holdSettle, { id, as, at: await tx.now() })).restNano;
  }
}

function held(row: Omit<HoldRow, 'state' | 'remainingNano' | 'endedAt'>): HoldRow {
  return { ...row, state: 'held', remainingNano: row.amountNano, endedAt: null };
}

/** A negative amount would pass every "is there enough" and put money in. */
function notNegative(amountNano: bigint): void {
  if (amountNano < 0n) throw new RangeError('a hold cannot move less than nothing');
}
