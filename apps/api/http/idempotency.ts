import { createHmac } from 'node:crypto';
import { DomainError, MINUTE, StaleVersion } from '#kernel';
import { IDEMPOTENCY_KEPT_MS, idempotencyKeys, type IdempotencyRow, type Principal } from '#identity/tenancy';
import type { Store, Tx } from '#platform/database';
import type { Vault } from '#platform/secrets';
import { digestOf } from './lists/cursor.js';

/** A run that neither answered nor failed in this time has crashed; the next request with its key may run again. */
const CRASHED_AFTER_MS = MINUTE;

export interface StoredAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** The right to run one creating request; `finish` and `abandon` do nothing once another run has taken it over. */
export interface IdempotentRun {
  /** Stores the answer in the given transaction; throws StaleVersion, so undoes it, when another run has taken over. */
  finishIn(tx: Tx, answer: StoredAnswer): Promise<void>;
  finish(answer: StoredAnswer): Promise<void>;
  /** The request failed and created nothing: the key is free again. */
  abandon(): Promise<void>;
}

/** One answer per key and body, across processes and crashes. */
export class Idempotency {
  constructor(
    private readonly store: Store,
    private readonly vault: Vault,
    /** Bodies may hold secrets that are guessable; their digests are keyed. */
    private readonly digestKey: Uint8Array,
  ) {}

  /** Either the right to run, or the answer that was given before. */
  async begin(who: Principal, key: string, route: string, request: unknown): Promise<IdempotentRun | StoredAnswer> {
    if (!/^[\x21-\x7e]{1,200}$/.test(key)) {
      throw new DomainError(
        'invalid',
        'invalid-idempotency-key',
        'Idempotency-Key must be 1 to 200 visible ASCII characters.',
        {
          field: 'Idempotency-Key',
          fix: 'Use a random UUID per thing to create.',
        },
      );
    }
    // Two projects of one organization must not meet in one key: the answer of one is not for the other.
    const scope = who.projectIds === 'all' ? '*' : who.projectIds.join(',');
    const id = { organizationId: who.organizationId, key: `${scope}/${key}` };
    const bodyHash = createHmac('sha256', this.digestKey).update(digestOf(request)).digest('base64url');
    return this.store.transaction(who.actor, async (tx) => {
      const createdAt = await tx.now();
      const fresh: IdempotencyRow = { ...id, route, bodyHash, status: null, response: null, createdAt };
      const [begun] = await tx.insertNew(idempotencyKeys, [fresh]);
      if (begun) return this.runOf(who, begun);
      const row = await tx.first(idempotencyKeys, id, { lock: 'update' });
      // Deleted in between: its run failed; whoever asks again gets it.
      if (!row) throw inProgress();
      const over = row.createdAt <= createdAt - IDEMPOTENCY_KEPT_MS;
      const crashed = row.status === null && row.createdAt <= createdAt - CRASHED_AFTER_MS;
      if (!over && (row.route !== route || row.bodyHash !== bodyHash)) throw reused();
      if (over || crashed) {
        const patch = { route, bodyHash, status: null, response: null, createdAt };
        const [mine] = await tx.update(idempotencyKeys, { ...id, createdAt: row.createdAt }, patch);
        if (!mine) throw inProgress();
        return this.runOf(who, mine);
      }
      if (row.status === null || row.response === null) throw inProgress();
      return { status: row.status, body: JSON.parse(this.vault.open(this.placeOf(row), row.response)) as unknown };
    });
  }

  private runOf(who: Principal, row: IdempotencyRow): IdempotentRun {
    const { organizationId, key, createdAt } = row;
    // The time it began says which run this is; a later run of the same key has another.
    const mine = { organizationId, key, createdAt, status: { isNull: true } } as const;
    let finished = false;
    const finishIn = async (tx: Tx, answer: StoredAnswer): Promise<void> => {
      const response = this.vault.seal(this.placeOf(row), JSON.stringify(answer.body ?? null));
      const changed = await tx.update(idempotencyKeys, mine, { status: answer.status, response });
      if (changed.length === 0) throw new StaleVersion('request', 'with this Idempotency-Key');
      tx.afterCommit(() => {
        finished = true;
      });
    };
    return {
      finishIn,
      finish: async (answer) => {
        if (!finished) await this.store.transaction(who.actor, (tx) => finishIn(tx, answer));
      },
      abandon: async () => {
        if (!finished) await this.store.transaction(who.actor, (tx) => tx.remove(idempotencyKeys, mine));
      },
    };
  }

  private placeOf(row: IdempotencyRow) {
    return { table: 'idempotency_keys', row: row.key, column: 'response', organizationId: row.organizationId };
  }
}

function inProgress(): DomainError {
  return new DomainError('conflict', 'idempotency-in-progress', 'A request with this Idempotency-Key is running.', {
    fix: 'Wait a moment and repeat the request with the same key.',
    retryable: true,
    retryAfterMs: 1_000,
  });
}

function reused(): DomainError {
  return new DomainError(
    'unprocessable',
    'idempotency-key-reused',
    'This Idempotency-Key was used for another request.',
    { field: 'Idempotency-Key', fix: 'Use a new key for a new request; repeat a request unchanged.' },
  );
}
