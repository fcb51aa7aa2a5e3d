import { PgStore } from './pg-store.js';
import type { Actor, Procedure, Store } from './table.js';

/** A function of the schema as a transaction of its own: on PostgreSQL one round trip and one statement. */
export function callAlone<A extends object, R extends object>(
  store: Store,
  actor: Actor,
  procedure: Procedure<A, R>,
  args: A,
): Promise<R> {
  return store instanceof PgStore
    ? store.callAlone(actor, procedure, args)
    : store.transaction(actor, (tx) => tx.call(procedure, args));
}
