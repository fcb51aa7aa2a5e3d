import type { StateMachine } from '#kernel';
import { PaymentLookupError, type CallIdentity, type PaymentOutcome } from '#contracts';
import { WORKER, type Patch, type Store, type Table, type Tx, type Where } from '#platform/database';
import { transition, type Reconciler } from '#platform/reconcile';
import { CALL_MS, needsNewKey, nextStep, waitMs } from './decide.js';
import type { EffectRow } from './payments.table.js';

/** The states that every effect goes through on its way to the processor. */
export type SharedState = 'intended' | 'calling' | 'unknown' | 'retrying';

/** The end of an effect that did not happen. */
export interface Ending {
  readonly as: 'declined' | 'refused';
  readonly code: string;
  readonly message: string;
}

/** What is particular to one kind of effect. */
export interface EffectKind<S extends string, R extends EffectRow & { state: S }, V> {
  readonly kind: string;
  readonly rows: Table<R>;
  readonly machine: StateMachine<S | SharedState>;
  /** Sends the request; its intent and key are committed. */
  call(row: R, identity: CallIdentity): Promise<PaymentOutcome<V>>;
  /** What there is at the processor for this row; null: nothing. */
  find(row: R): Promise<V | null>;
  /** Books what there is at the processor, and moves the row. */
  apply(tx: Tx, row: R, found: V): Promise<'again' | 'rest'>;
  /** It did not happen and will not. */
  end(tx: Tx, row: R, ending: Ending): Promise<void>;
  /** States of its own in which a wake-up means: look what became of it. */
  readonly standing: readonly S[];
}

/**
 * Drives effects outside of the database: the intent is committed before the request is sent, and what came of it is booked in one
 * transaction with the row's change. Whatever breaks in between leaves a row that is looked up.
 */
export class EffectReconciler<S extends string, R extends EffectRow & { state: S }, V> implements Reconciler {
  readonly kind: string;

  constructor(
    private readonly store: Store,
    private readonly of: EffectKind<S, R, V>,
  ) {
    this.kind = of.kind;
  }

  due(tx: Tx, nowMs: number, limit: number): Promise<R[]> {
    return tx.find(this.of.rows, where<R>({ wakeAt: { lte: nowMs } }), { orderBy: [['wakeAt', 'asc']], limit });
  }

  async step(id: string): Promise<'again' | 'rest'> {
    const { row, now } = await this.store.transaction(WORKER, async (tx) => ({
      row: await tx.first(this.of.rows, where<R>({ id })),
      now: await tx.now(),
    }));
    if (!row) return 'rest';
    if (this.of.standing.includes(row.state)) {
      return row.wakeAt === null || row.wakeAt > now ? 'rest' : this.look(row, 'stand');
    }
    const step = nextStep(row, now);
    switch (step.do) {
      case 'rest':
        return 'rest';
      case 'call':
        return this.send(row);
      case 'doubt':
        await this.move(row, 'unknown', { wakeAt: now, message: 'nobody waits for the answer any more' });
        return 'again';
      case 'find':
        return this.look(row, 'send-again');
      case 'give-up':
        return this.look(row, 'give-up');
    }
  }

  /** Commits the intent, sends, and books the outcome. */
  private async send(row: R): Promise<'again' | 'rest'> {
    const calling = await this.store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      const patch = { keyAt: row.keyAt ?? now };
      return this.moveIn(tx, row, 'calling', { patch, wakeAt: now + CALL_MS, message: '' });
    });
    const outcome = await this.of.call(calling, {
      key: `${calling.id}:${calling.attempt}`,
      reference: calling.id,
    });
    return this.store.transaction(WORKER, (tx) => this.book(tx, calling, outcome));
  }

  private async book(tx: Tx, row: R, outcome: PaymentOutcome<V>): Promise<'again' | 'rest'> {
    const now = await tx.now();
    const failures = row.failures + 1;
    switch (outcome.kind) {
      case 'done':
        return this.of.apply(tx, row, outcome.value);
      case 'declined':
      case 'refused':
        await this.of.end(tx, row, { as: outcome.kind, code: outcome.code, message: outcome.message });
        return 'rest';
      case 'retry':
        await this.moveIn(tx, row, 'retrying', {
          patch: { failures },
          wakeAt: now + (outcome.retryAfterMs ?? waitMs(row.failures)),
          message: outcome.message,
        });
        return 'rest';
      case 'unknown':
        await this.moveIn(tx, row, 'unknown', {
          patch: { failures, spent: outcome.spent },
          wakeAt: now + waitMs(row.failures),
          message: outcome.message,
        });
        return 'rest';
    }
  }

  /** Asks the processor what there is. `otherwise`: what nothing means. */
  private async look(row: R, otherwise: 'send-again' | 'give-up' | 'stand'): Promise<'again' | 'rest'> {
    let found: V | null;
    try {
      found = await this.of.find(row);
    } catch (error) {
      if (!(error instanceof PaymentLookupError)) throw error;
      return this.wait(row, error);
    }
    if (found !== null) return this.store.transaction(WORKER, (tx) => this.of.apply(tx, row, found));
    return this.store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      if (otherwise === 'stand') {
        await this.patch(tx, row, { wakeAt: null });
        return 'rest';
      }
      if (otherwise === 'give-up') {
        const message = row.message ?? 'the payment processor could not be reached for a day';
        await this.of.end(tx, row, { as: 'refused', code: 'gave-up', message });
        return 'rest';
      }
      // Only the key is chosen here; the request goes out in a step of its own.
      const key = needsNewKey(row, now) ? { attempt: row.attempt + 1, keyAt: null, spent: false } : {};
      await this.moveIn(tx, row, 'retrying', { patch: key, wakeAt: now, message: 'it did not happen' });
      return 'again';
    });
  }

  /** The look-up itself failed: nothing is known, and asked again later. */
  private async wait(row: R, error: PaymentLookupError): Promise<'rest'> {
    await this.store.transaction(WORKER, async (tx) => {
      const wakeAt = (await tx.now()) + (error.retryAfterMs ?? waitMs(row.failures));
      await this.patch(tx, row, { failures: row.failures + 1, wakeAt, message: error.message });
    });
    return 'rest';
  }

  private move(row: R, to: SharedState, change: Change): Promise<R> {
    return this.store.transaction(WORKER, (tx) => this.moveIn(tx, row, to, change));
  }

  private moveIn(tx: Tx, row: R, to: SharedState, { patch, wakeAt, message }: Change): Promise<R> {
    return transition<S | SharedState, R>(tx, this.of.rows, this.of.machine, row, to, {
      patch: patchOf<R>({ ...patch, ...(message === '' ? {} : { message }) }),
      wakeAt,
      message,
    });
  }

  /** A change without a change of state; another's change meanwhile wins. */
  private async patch(tx: Tx, row: R, patch: Partial<EffectRow>): Promise<void> {
    const guard = where<R>({ id: row.id, version: row.version });
    await tx.update(this.of.rows, guard, patchOf<R>({ ...patch, version: row.version + 1 }));
  }
}

interface Change {
  readonly patch?: Partial<EffectRow>;
  readonly wakeAt: number;
  readonly message: string;
}

// Every R has the columns of EffectRow; TypeScript cannot see that a mapped type over R has them too.
const where = <R extends EffectRow>(of: object): Where<R> => of as Where<R>;
const patchOf = <R extends EffectRow>(of: object): Patch<R> => of as Patch<R>;
