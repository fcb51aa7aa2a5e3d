import { newId, type Random } from '#kernel';
import { table, WORKER, type Store, type Tx } from './table.js';

/** Something that happened and must be told outside, kept until it has been told. */
export interface OutboxRow {
  id: string;
  organizationId: string;
  topic: string;
  payload: unknown;
  createdAt: number;
  /** Times it was handed out. */
  attempts: number;
  /** When it may be handed out (again). */
  nextAt: number;
  doneAt: number | null;
}

export const outbox = table<OutboxRow>(
  'outbox',
  {
    id: 'text',
    organizationId: 'text',
    topic: 'text',
    payload: 'json',
    createdAt: 'time',
    attempts: 'int',
    nextAt: 'time',
    doneAt: 'time',
  },
  { key: ['id'] },
);

export interface OutboxTimes {
  /** A claim that was neither done nor failed for so long is handed out again: its worker is taken for dead. */
  readonly claimMs: number;
  /** Wait after the first failure; doubles with each one, up to `maxBackoffMs`, less up to a half by chance. */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
}

export const defaultOutboxTimes: OutboxTimes = { claimMs: 60_000, backoffMs: 5_000, maxBackoffMs: 3_600_000 };

/**
 * Events that leave the broker: written in the transaction of what they tell of, delivered at least once, in no promised order.
 * Whatever is due and open is found by its state, never by the last id seen, so an event whose transaction commits late is not passed over.
 */
export class Outbox {
  constructor(
    private readonly store: Store,
    private readonly random: Random,
    private readonly times: OutboxTimes = defaultOutboxTimes,
  ) {}

  async add(tx: Tx, event: { organizationId: string; topic: string; payload: unknown }): Promise<string> {
    const now = await tx.now();
    const id = newId('event', now, this.random);
    await tx.insert(outbox, { id, ...event, createdAt: now, attempts: 0, nextAt: now, doneAt: null });
    return id;
  }

  /** Hands out what is due, longest due first; nobody else gets it for `claimMs`. */
  claim(limit: number): Promise<OutboxRow[]> {
    return this.store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      const due = await tx.find(
        outbox,
        { doneAt: { isNull: true }, nextAt: { lte: now } },
        { orderBy: [['nextAt', 'asc']], limit, lock: 'skip-locked' },
      );
      if (due.length === 0) return [];
      const ids = due.map((e) => e.id);
      const claimed = await tx.update(
        outbox,
        { id: { in: ids } },
        { attempts: { add: 1 }, nextAt: now + this.times.claimMs },
      );
      return claimed.sort((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));
    });
  }

  /** It was delivered. True also of one whose claim ran out: delivered is delivered. */
  async done(claimed: OutboxRow): Promise<void> {
    await this.store.transaction(WORKER, async (tx) =>
      tx.update(outbox, { id: claimed.id, doneAt: { isNull: true } }, { doneAt: await tx.now() }),
    );
  }

  /** It was not; it comes back later. Does nothing when the claim ran out and somebody else has it. */
  async failed(claimed: OutboxRow): Promise<void> {
    const { backoffMs, maxBackoffMs } = this.times;
    const wait = Math.min(backoffMs * 2 ** Math.min(claimed.attempts - 1, 30), maxBackoffMs);
    const waitMs = Math.round(wait * (1 - this.random.float() / 2));
    await this.store.transaction(WORKER, async (tx) =>
      tx.update(
        outbox,
        { id: claimed.id, attempts: claimed.attempts, doneAt: { isNull: true } },
        { nextAt: (await tx.now()) + waitMs },
      ),
    );
  }

  /** Forgets what was delivered longer than `keepMs` ago; returns how many. */
  removeDone(keepMs: number): Promise<number> {
    return this.store.transaction(WORKER, async (tx) =>
      tx.remove(outbox, { doneAt: { lt: (await tx.now()) - keepMs } }),
    );
  }
}
