import type { Clock } from '#kernel';
import {
  addition,
  conditionOf,
  runAfterCommit,
  UniqueViolation,
  type Actor,
  type AfterCommit,
  type Batch,
  type FindOptions,
  type Patch,
  type Procedure,
  type Store,
  type Table,
  type Tx,
  type Where,
} from './table.js';

type AnyRow = Record<string, unknown>;
type Undo = () => void;

const copy = <T>(value: T): T => structuredClone(value);

/** JSON columns come back from PostgreSQL as plain JSON (bigint as text); the twin must not be kinder. */
const jsonSafe = (value: unknown): unknown =>
  value === null || value === undefined
    ? null
    : (JSON.parse(JSON.stringify(value, (_k, v: unknown) => (typeof v === 'bigint' ? v.toString() : v))) as unknown);

function compare(a: unknown, b: unknown): number {
  if (a === b) return 0;
  // NULLs sort last ascending, as in PostgreSQL.
  if (a === null) return 1;
  if (b === null) return -1;
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b));
  if ((typeof a === 'number' || typeof a === 'bigint') && (typeof b === 'number' || typeof b === 'bigint'))
    return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b);
  throw new TypeError('these values have no order');
}

function holds(row: AnyRow, where: Record<string, unknown>): boolean {
  for (const [column, condition] of Object.entries(where)) {
    if (condition === undefined) continue;
    const { op, value } = conditionOf(column, condition);
    const actual = row[column] ?? null;
    if (op === 'isNull') {
      if ((actual === null) !== value) return false;
      continue;
    }
    if (actual === null) return false;
    if (op === 'in') {
      if (!(value as unknown[]).includes(actual)) return false;
      continue;
    }
    const order = compare(actual, value);
    const ok =
      op === 'eq'
        ? order === 0
        : op === 'not'
          ? order !== 0
          : op === 'lt'
            ? order < 0
            : op === 'lte'
              ? order <= 0
              : op === 'gt'
                ? order > 0
                : order >= 0;
    if (!ok) return false;
  }
  return true;
}

/** The rows of all tables as they once were. */
export type StoreBackup = ReadonlyMap<string, ReadonlyMap<string, object>>;

/**
 * The in-memory twin of PostgreSQL for the simulator and for fast specs: same uniqueness, same conditional
 * updates, rollback by an undo log. Transactions run one after another, so there is no interleaving inside one;
 * that is tested on real PostgreSQL. It knows no row-level security: the actor is ignored.
 */
export class MemoryStore implements Store {
  private readonly tables = new Map<string, Map<string, AnyRow>>();
  private tail: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly clock: Clock,
    private readonly onAfterCommitError: (error: unknown) => void = () => undefined,
  ) {}

  transaction<T>(_actor: Actor, work: (tx: Tx) => Promise<T>): Promise<T> {
    let after: readonly AfterCommit[] = [];
    const run = async (): Promise<T> => {
      const tx = new MemoryTx(this.tables, this.clock.now());
      try {
        const result = await work(tx);
        if (tx.failure !== null) throw tx.failure;
        after = tx.after;
        return result;
      } catch (error) {
        tx.rollback();
        throw error;
      } finally {
        tx.closed = true;
      }
    };
    const committed = this.tail.then(run, run);
    this.tail = committed.catch(() => undefined);
    // Outside the queue of transactions: what runs after a commit may open one of its own.
    return committed.then(async (result) => {
      await runAfterCommit(after, this.onAfterCommitError);
      return result;
    });
  }

  /** All rows of a table, for checkers. */
  rows<R extends object>(t: Table<R>): R[] {
    return [...(this.tables.get(t.name)?.values() ?? [])].map((r) => copy(r)) as R[];
  }

  /** Everything that is committed; to be taken and put back while no transaction runs. */
  backup(): StoreBackup {
    return copy(this.tables);
  }

  restore(backup: StoreBackup): void {
    this.tables.clear();
    for (const [name, rows] of backup) this.tables.set(name, copy(rows) as Map<string, AnyRow>);
  }
}

class MemoryTx implements Tx {
  private readonly undo: Undo[] = [];
  readonly after: AfterCommit[] = [];
  /** Set by the first statement that fails; as in PostgreSQL, nothing of the transaction can be committed then. */
  failure: UniqueViolation | null = null;
  closed = false;

  constructor(
    private readonly tables: Map<string, Map<string, AnyRow>>,
    private readonly startedAtMs: number,
  ) {}

  now(): Promise<number> {
    return Promise.resolve(this.startedAtMs);
  }

  private rowsOf(name: string): Map<string, AnyRow> {
    if (this.closed) throw new Error('the transaction has ended');
    if (this.failure) throw new Error('a statement of the transaction has failed; nothing more can be done in it');
    let rows = this.tables.get(name);
    if (!rows) this.tables.set(name, (rows = new Map()));
    return rows;
  }

  private keyOf<R extends object>(t: Table<R>, row: AnyRow): string {
    return t.key.map((k) => String(row[k])).join('\u0000');
  }

  private collision<R extends object>(t: Table<R>, row: AnyRow, ownKey: string | null): string | null {
    const rows = this.rowsOf(t.name);
    const key = this.keyOf(t, row);
    if (key !== ownKey && rows.has(key)) return t.key.join(', ');
    for (const set of t.unique) {
      if (set.some((c) => (row[c] ?? null) === null)) continue;
      for (const [otherKey, other] of rows) {
        if (otherKey !== ownKey && set.every((c) => compare(other[c] ?? null, row[c] ?? null) === 0))
          return set.join(', ');
      }
    }
    return null;
  }

  private fail(tableName: string, columns: string): UniqueViolation {
    this.failure = new UniqueViolation(tableName, columns);
    return this.failure;
  }

  private put(name: string, key: string, row: AnyRow): void {
    const rows = this.rowsOf(name);
    const before = rows.get(key);
    rows.set(key, row);
    this.undo.push(() => (before ? rows.set(key, before) : rows.delete(key)));
  }

  private normal<R extends object>(t: Table<R>, row: R): AnyRow {
    const given = row as AnyRow;
    const out: AnyRow = {};
    for (const [column, kind] of Object.entries(t.columns)) {
      out[column] = kind === 'json' ? jsonSafe(given[column]) : copy(given[column] ?? null);
    }
    return out;
  }

  async insert<R extends object>(t: Table<R>, rows: R | readonly R[]): Promise<void> {
    for (const row of Array.isArray(rows) ? (rows as readonly R[]) : [rows as R]) {
      const next = this.normal(t, row);
      const clash = this.collision(t, next, null);
      if (clash !== null) throw this.fail(t.name, clash);
      this.put(t.name, this.keyOf(t, next), next);
    }
  }

  async insertAll(batches: readonly Batch[]): Promise<void> {
    for (const { table, rows } of batches) await this.insert(table, rows);
  }

  async insertNew<R extends object>(t: Table<R>, rows: readonly R[]): Promise<R[]> {
    const added: R[] = [];
    for (const row of rows) {
      const next = this.normal(t, row);
      if (this.collision(t, next, null) !== null) continue;
      this.put(t.name, this.keyOf(t, next), next);
      added.push(copy(next) as R);
    }
    return added;
  }

  async upsert<R extends object>(t: Table<R>, rows: readonly R[]): Promise<void> {
    for (const row of rows) {
      const next = this.normal(t, row);
      const key = this.keyOf(t, next);
      const clash = this.collision(t, next, key);
      if (clash !== null) throw this.fail(t.name, clash);
      this.put(t.name, key, next);
    }
  }

  async find<R extends object>(t: Table<R>, where: Where<R>, options: FindOptions<R> = {}): Promise<R[]> {
    let found = [...this.rowsOf(t.name).values()].filter((row) => holds(row, where));
    const order = options.orderBy ?? [];
    const byOrder = (a: AnyRow, b: AnyRow): number => {
      for (const [column, direction] of order) {
        const c = compare(a[column] ?? null, b[column] ?? null);
        if (c !== 0) return direction === 'asc' ? c : -c;
      }
      return 0;
    };
    found.sort(byOrder);
    if (options.after) {
      const mark: AnyRow = {};
      order.forEach(([column], i) => (mark[column] = options.after?.[i]));
      found = found.filter((row) => byOrder(row, mark) > 0);
    }
    return found.slice(0, options.limit ?? found.length).map((r) => copy(r)) as R[];
  }

  async first<R extends object>(t: Table<R>, where: Where<R>, options: FindOptions<R> = {}): Promise<R | null> {
    return (await this.find(t, where, { ...options, limit: 1 }))[0] ?? null;
  }

  async update<R extends object>(t: Table<R>, where: Where<R>, patch: Patch<R>, also?: Batch): Promise<R[]> {
    const changed: R[] = [];
    for (const [key, row] of [...this.rowsOf(t.name)]) {
      if (!holds(row, where)) continue;
      const next: AnyRow = { ...row };
      for (const [column, value] of Object.entries(patch as AnyRow)) {
        if (value === undefined) continue;
        const added = addition(value);
        const kind = (t.columns as Record<string, string>)[column];
        if (kind === undefined) throw new TypeError(`${t.name} has no column ${column}`);
        if (added === null) next[column] = kind === 'json' ? jsonSafe(value) : copy(value);
        else
          next[column] = typeof added === 'bigint' ? (row[column] as bigint) + added : (row[column] as number) + added;
      }
      const clash = this.collision(t, next, key);
      if (clash !== null) throw this.fail(t.name, clash);
      this.put(t.name, key, next);
      changed.push(copy(next) as R);
    }
    if (also && changed.length > 0) await this.insert(also.table, also.rows);
    return changed;
  }

  async remove<R extends object>(t: Table<R>, where: Where<R>): Promise<number> {
    const rows = this.rowsOf(t.name);
    let n = 0;
    for (const [key, row] of [...rows]) {
      if (!holds(row, where)) continue;
      rows.delete(key);
      this.undo.push(() => rows.set(key, row));
      n++;
    }
    return n;
  }

  /** As on PostgreSQL, where arguments go by position: nothing arrives that is not declared, and nothing else comes back. */
  async call<A extends object, R extends object>(procedure: Procedure<A, R>, args: A): Promise<R> {
    const { name, args: takes, result: gives } = procedure;
    const result: R = await procedure.inMemory(this, declared<A>(takes, args, `${name} is not given`));
    return declared<R>(gives, result, `${name} does not give`);
  }

  afterCommit(action: AfterCommit): void {
    this.after.push(action);
  }

  rollback(): void {
    for (const step of this.undo.reverse()) step();
  }
}

function declared<T extends object>(kinds: { readonly [K in keyof T & string]: unknown }, of: T, what: string): T {
  const values = Object.keys(kinds).map((name) => {
    // Only names of its own are declared.
    const value = of[name as keyof T];
    if (value === undefined) throw new Error(`${what} ${name}`);
    return [name, value] as const;
  });
  return Object.fromEntries(values) as T;
}
