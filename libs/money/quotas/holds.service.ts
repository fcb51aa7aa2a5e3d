import { DomainError, formatUsd, newId, StateMachine, type Clock, type Random } from '#kernel';
import type { Tx } from '#platform/database';
import { account, accounts, Ledger } from '#money/ledger';
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
  readonly amountNano: bigint;
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

  /** Throws payment-required with what is missing when the credit does not cover it. */
  async take(tx: Tx, request: HoldRequest): Promise<HoldRow> {
    const { organizationId, amountNano } = request;
    notNegative(amountNano);
    const done = await tx.update(
      accounts,
      { id: account.credit(organizationId), availableNano: { gte: amountNano } },
      { availableNano: { add: -amountNano }, heldNano: { add: amountNano } },
    );
    if (done.length === 0) {
      const { availableNano } = await this.ledger.creditOf(tx, organizationId);
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
    return this.write(tx, request, null);
  }

  /** Takes part of a job's hold for a lease; null when less than `amountNano` is left in it. */
  async carve(tx: Tx, parentId: string, leaseId: string, amountNano: bigint): Promise<HoldRow | null> {
    notNegative(amountNano);
    const [parent] = await tx.update(
      holds,
      { id: parentId, state: 'held', remainingNano: { gte: amountNano } },
      { remainingNano: { add: -amountNano } },
    );
    if (!parent) return null;
    return this.write(
      tx,
      { organizationId: parent.organizationId, projectId: parent.projectId, leaseId, amountNano },
      parent.id,
    );
  }

  /** Moves up to `wantedNano` more from the parent into an open carve; returns what could be moved. */
  async extend(tx: Tx, carve: HoldRow, wantedNano: bigint): Promise<bigint> {
    if (carve.parentId === null || wantedNano <= 0n) return 0n;
    const part = await tx.first(holds, { id: carve.id }, { lock: 'update' });
    if (!part || part.state !== 'held') return 0n;
    const parent = await tx.first(holds, { id: carve.parentId }, { lock: 'update' });
    if (!parent || parent.state !== 'held') return 0n;
    const moved = parent.remainingNano < wantedNano ? parent.remainingNano : wantedNano;
    if (moved === 0n) return 0n;
    await tx.update(holds, { id: parent.id }, { remainingNano: { add: -moved } });
    await tx.update(holds, { id: part.id }, { remainingNano: { add: moved }, amountNano: { add: moved } });
    return moved;
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

  /** Ends a hold: what is left goes to the parent, or, where there is none or it has ended, back to available credit. Ending twice does nothing. */
  async settle(tx: Tx, id: string, as: Exclude<HoldState, 'held'> = 'settled'): Promise<void> {
    const before = await tx.first(holds, { id }, { lock: 'update' });
    if (!before || before.state !== 'held') return;
    holdMachine.assert(before.state, as);
    const rest = before.remainingNano;
    await tx.update(holds, { id, state: 'held' }, { state: as, remainingNano: 0n, endedAt: await tx.now() });
    if (rest === 0n) return;
    if (before.parentId !== null) {
      const back = await tx.update(holds, { id: before.parentId, state: 'held' }, { remainingNano: { add: rest } });
      if (back.length === 1) return;
    }
    await tx.update(
      accounts,
      { id: account.credit(before.organizationId) },
      { availableNano: { add: rest }, heldNano: { add: -rest } },
    );
  }

  private async write(tx: Tx, request: HoldRequest, parentId: string | null): Promise<HoldRow> {
    const row: HoldRow = {
      id: newId('hold', this.clock.now(), this.random),
      organizationId: request.organizationId,
      projectId: request.projectId,
      parentId,
      jobId: request.jobId ?? null,
      leaseId: request.leaseId ?? null,
      state: 'held',
      amountNano: request.amountNano,
      remainingNano: request.amountNano,
      createdAt: this.clock.now(),
      endedAt: null,
    };
    await tx.insert(holds, row);
    return row;
  }
}

/** A negative amount would pass every "is there enough" and put money in. */
function notNegative(amountNano: bigint): void {
  if (amountNano < 0n) throw new RangeError('a hold cannot move less than nothing');
}
