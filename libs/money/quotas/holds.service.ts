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
import { creditRoomOf } from './credit-room.js';
import { refused, tell } from './refusal.js';
import type { QuotaAmounts, QuotaTaken } from './quotas.procedures.js';
import { holdTakeMany, holdTakeShared, type HoldAsked } from './hold-groups.procedures.js';
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
    const at = this.clock.now();
    const asked = this.asked(request, at);
    const { organizationId } = request;
    const done = await tx.call(holdTake, { ...asked, organizationId, at });
    const refusal = await this.outcome(tx, organizationId, asked.amountNano, done);
    if (refusal) throw refusal;
    return taken(organizationId, asked, at);
  }

  /** Several holds of one organization in one call; each is taken or refused by itself, in their order. */
  async takeMany(tx: Tx, requests: readonly HoldRequest[]): Promise<(HoldRow | DomainError)[]> {
    const organizationId = requests[0]?.organizationId;
    if (organizationId === undefined) return [];
    if (requests.some((r) => r.organizationId !== organizationId))
      throw new RangeError('holds that are taken together are of one organization');
    const at = this.clock.now();
    const asked = requests.map((r) => this.asked(r, at));
    const { outcomes } = await tx.call(holdTakeMany, { organizationId, at, requests: asked });
    const answers: (HoldRow | DomainError)[] = [];
    for (const [i, one] of asked.entries()) {
      const done = outcomes[i];
      if (!done) throw new Error(`${asked.length} holds were asked for and ${outcomes.length} answered`);
      const refusal = await this.outcome(tx, organizationId, one.amountNano, done);
      answers.push(refusal ?? taken(organizationId, one, at));
    }
    return answers;
  }

  /**
   * One hold for many jobs, all or nothing, of which each job gets its own part; answers the parts in the order of `jobs`.
   * Throws as `take` does, for the sum.
   */
  async takeShared(
    tx: Tx,
    request: Pick<HoldRequest, 'organizationId' | 'projectId' | 'keyId'>,
    jobs: readonly { readonly jobId: string; readonly amountNano: bigint }[],
  ): Promise<HoldRow[]> {
    const { organizationId, projectId, keyId = null } = request;
    jobs.forEach(({ amountNano }) => notNegative(amountNano));
    if (jobs.length === 0) return [];
    const at = this.clock.now();
    const id = newId('hold', at, this.random);
    const parts = jobs.map((job) => ({ ...job, id: newId('hold', at, this.random) }));
    const amountNano = jobs.reduce((n, job) => n + job.amountNano, 0n);
    const done = await tx.call(holdTakeShared, { id, organizationId, projectId, keyId, at, parts });
    const refusal = await this.outcome(tx, organizationId, amountNano, done);
    if (refusal) throw refusal;
    const of = { organizationId, projectId, parentId: id, leaseId: null, createdAt: at };
    return parts.map((part) => held({ ...part, ...of }));
  }

  private asked(request: HoldRequest, at: number): HoldAsked {
    const { projectId, amountNano, jobId = null, leaseId = null, keyId = null, quotas = {} } = request;
    notNegative(amountNano);
    return { id: newId('hold', at, this.random), projectId, keyId, jobId, leaseId, amountNano, quotas };
  }

  /** Why it was refused; null: it was taken, and thresholds that it reached are told. */
  private async outcome(
    tx: Tx,
    organizationId: string,
    amountNano: bigint,
    { taken: done, refusal, alerts }: QuotaTaken,
  ): Promise<DomainError | null> {
    if (done) {
      await tell(tx, organizationId, alerts, this.random);
      return null;
    }
    if (refusal) return refused(refusal);
    const availableNano = await creditRoomOf(tx, await this.ledger.creditOf(tx, organizationId));
    return new DomainError(
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

function taken(organizationId: string, { keyId: _key, quotas: _quotas, ...of }: HoldAsked, at: number): HoldRow {
  return held({ ...of, organizationId, parentId: null, createdAt: at });
}

function held(row: Omit<HoldRow, 'state' | 'remainingNano' | 'endedAt'>): HoldRow {
  return { ...row, state: 'held', remainingNano: row.amountNano, endedAt: null };
}

/** A negative amount would pass every "is there enough" and put money in. */
function notNegative(amountNano: bigint): void {
  if (amountNano < 0n) throw new RangeError('a hold cannot move less than nothing');
}
