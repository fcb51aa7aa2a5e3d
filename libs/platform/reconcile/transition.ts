import { StaleVersion, type StateMachine } from '#kernel';
import type { Patch, Table, Tx } from '#platform/database';
import { events } from './events.js';

/** A row that a reconciler drives. `version` rises with every guarded change; `wakeAt` is when to look again (null = never). */
export interface Reconciled<S extends string> {
  id: string;
  organizationId: string;
  projectId: string;
  state: S;
  version: number;
  wakeAt: number | null;
}

/**
 * The only way a reconciled row changes state: checks the table, updates guarded by (id, version), writes the event.
 * Throws StaleVersion when somebody else moved the row first; nothing is written then.
 */
export async function transition<S extends string, R extends Reconciled<S>>(
  tx: Tx,
  rows: Table<R>,
  machine: StateMachine<S>,
  row: R,
  to: S,
  change: { patch?: Patch<R>; wakeAt: number | null; message: string; type?: string },
): Promise<R> {
  if (to !== row.state) machine.assert(row.state, to);
  else if (machine.isTerminal(row.state)) throw new Error(`${machine.name} ${row.id} has ended and changes no more`);
  const guard = { id: row.id, version: row.version } as unknown as Parameters<Tx['update']>[1];
  const patch = { ...change.patch, state: to, version: row.version + 1, wakeAt: change.wakeAt } as unknown as Patch<R>;
  const [after] = await tx.update(rows, guard as never, patch);
  if (!after) throw new StaleVersion(machine.name, row.id);
  if (to !== row.state || change.type !== undefined) {
    await tx.insert(events, {
      subjectId: row.id,
      n: after.version,
      organizationId: row.organizationId,
      projectId: row.projectId,
      type: change.type ?? `${machine.name}.${to}`,
      fromState: row.state,
      toState: to,
      message: change.message,
      at: await tx.now(),
    });
  }
  return after;
}
