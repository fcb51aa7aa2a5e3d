import { StaleVersion, type StateMachine } from '#kernel';
import { batch, type Patch, type Table, type Tx } from '#platform/database';
import { events } from './events.js';

/** A row that a reconciler drives. `version` rises with every guarded change; `wakeAt` is when to look again (null = never). */
export interface Reconciled<S extends string> {
  id: string;
  organizationId: string;
  /** Absent where the row is the whole organization's. */
  projectId?: string;
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
  const told = to !== row.state || change.type !== undefined;
  const [after] = await tx.update(
    rows,
    guard as never,
    patch,
    told
      ? batch(events, {
          subjectId: row.id,
          n: row.version + 1,
          organizationId: row.organizationId,
          projectId: row.projectId ?? '',
          type: change.type ?? `${machine.name}.${to}`,
          fromState: row.state,
          toState: to,
          message: change.message,
          at: await tx.now(),
        })
      : undefined,
  );
  if (!after) throw new StaleVersion(machine.name, row.id);
  return after;
}
