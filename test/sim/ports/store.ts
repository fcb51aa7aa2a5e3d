import type { Actor, AfterCommit, Store, Tx } from '#platform/database';
import type { History } from '../history.js';
import { never } from '../kernel.js';
import type { Process } from '../process.js';
import { Injected } from '../injected.js';

/** What one transaction changed, for the checks. */
export interface Change {
  readonly table: string;
  readonly how: 'insert' | 'update' | 'remove';
  readonly rows: readonly object[];
}

/** The store as one process sees it: time passes around each transaction, and a process may die between commit and reply. */
export class SimStore implements Store {
  constructor(
    private readonly history: History,
    private readonly process: Process,
  ) {}

  async transaction<T>(actor: Actor, work: (tx: Tx) => Promise<T>): Promise<T> {
    const { history, process } = this;
    const random = history.kernel.random(`${process.name}/tx`);
    await process.point('tx', random.int(1, 5));
    const faults = history.strike(`${process.name}/tx`, process);
    const struck = (kind: string): boolean => faults.some((f) => f.kind === kind);
    const changes: Change[] = [];
    const after: AfterCommit[] = [];
    let undo = false;
    const committed = history.store.transaction(actor, async (tx) => {
      history.openTransactions++;
      try {
        const result = await work(watched(tx, changes, after));
        if (struck('crash-before-commit')) {
          undo = true;
          throw new Injected('crash before commit');
        }
        return result;
      } finally {
        history.openTransactions--;
      }
    });
    const outcome = await committed.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    if (undo) {
      history.crash(process);
      return never();
    }
    if ('error' in outcome) throw outcome.error;
    if (changes.length > 0) history.committed(changes);
    if (struck('crash-after-commit')) {
      history.crash(process);
      return never();
    }
    for (const action of after) await action();
    const stall = faults.find((f) => f.kind === 'stall-after-commit')?.arg ?? 0;
    await process.point('committed', random.int(1, 3) + stall);
    if (struck('reply-lost')) throw new Injected('the connection was lost after the commit');
    return outcome.value;
  }
}

function watched(tx: Tx, changes: Change[], after: AfterCommit[]): Tx {
  const note = (table: string, how: Change['how'], rows: readonly object[]): void => {
    if (rows.length > 0) changes.push({ table, how, rows });
  };
  const own: Tx = {
    now: () => tx.now(),
    find: (t, where, options) => tx.find(t, where, options),
    first: (t, where, options) => tx.first(t, where, options),
    insert: async (t, rows) => {
      await tx.insert(t, rows);
      note(t.name, 'insert', Array.isArray(rows) ? (rows as object[]) : [rows]);
    },
    insertAll: async (batches) => {
      for (const { table, rows } of batches) await own.insert(table, rows);
    },
    insertNew: async (t, rows) => {
      const added = await tx.insertNew(t, rows);
      note(t.name, 'insert', added);
      return added;
    },
    upsert: async (t, rows) => {
      await tx.upsert(t, rows);
      note(t.name, 'update', rows);
    },
    update: async (t, where, patch, also) => {
      const rows = await tx.update(t, where, patch, also);
      note(t.name, 'update', rows);
      if (also && rows.length > 0) note(also.table.name, 'insert', also.rows);
      return rows;
    },
    remove: (t, where) => tx.remove(t, where),
    // Its twin goes through here too, so that what it changes is seen.
    call: (procedure, args) => procedure.inMemory(own, args),
    afterCommit: (action) => void after.push(action),
  };
  return own;
}
