/**
 * Tables as data: one definition serves PostgreSQL and the in-memory twin that the simulator runs on.
 * Column kinds decide the type on both sides; names are camelCase here and snake_case in SQL.
 */
export type ColumnKind =
  | 'text'
  | 'int' // whole number that fits a double
  | 'bigint' // bigint in TypeScript, bigint or numeric in SQL
  | 'float'
  | 'bool'
  | 'time' // milliseconds since the epoch in TypeScript, timestamptz in SQL
  | 'json'
  | 'texts' // string[] / text[]
  | 'bytes'; // hex text in TypeScript, bytea in SQL

export interface Table<Row extends object> {
  readonly name: string;
  readonly columns: { readonly [K in keyof Row & string]: ColumnKind };
  /** Primary key columns. */
  readonly key: readonly (keyof Row & string)[];
  /** Further unique sets; rows with a null in the set do not collide, as in SQL. */
  readonly unique: readonly (readonly (keyof Row & string)[])[];
}

export function table<Row extends object>(
  name: string,
  columns: { readonly [K in keyof Row & string]: ColumnKind },
  options: { key: readonly (keyof Row & string)[]; unique?: readonly (readonly (keyof Row & string)[])[] },
): Table<Row> {
  return { name, columns, key: options.key, unique: options.unique ?? [] };
}

/** Rows of one table, on their way in; made by `batch`, which holds table and rows together. */
export interface Batch {
  readonly table: Table<object>;
  readonly rows: readonly object[];
}

export function batch<R extends object>(t: Table<R>, rows: R | readonly R[]): Batch {
  // The rows are of this table, and nothing but the table's own columns is read of them.
  return { table: t as unknown as Table<object>, rows: Array.isArray(rows) ? (rows as readonly R[]) : [rows as R] };
}

/**
 * Several statements that belong together as one function of the schema: one round trip, and rows locked in one fixed order.
 * `inMemory` says the same in terms of Tx, for the store in memory; a spec runs both beside each other.
 * Arguments go by position, in the order of `args`; the function answers one row with the columns of `result`.
 */
export interface Procedure<Args extends object, Result extends object> {
  readonly name: string;
  readonly args: { readonly [K in keyof Args & string]: ColumnKind };
  readonly result: { readonly [K in keyof Result & string]: ColumnKind };
  readonly inMemory: (tx: Tx, args: Args) => Promise<Result>;
}

export type Condition<V> =
  | V
  | { readonly in: readonly V[] }
  | { readonly not: V }
  | { readonly lt: V }
  | { readonly lte: V }
  | { readonly gt: V }
  | { readonly gte: V }
  | { readonly isNull: boolean };

/** All conditions must hold (AND). A key that is absent is no condition; `null` is not allowed: say `{isNull: true}`. */
export type Where<Row> = { readonly [K in keyof Row]?: Condition<NonNullable<Row[K]>> };

/** New values; `{add: n}` adds to what stands in the row at the moment of the update. */
export type Patch<Row> = {
  readonly [K in keyof Row]?:
    Row[K] | (NonNullable<Row[K]> extends number | bigint ? { readonly add: NonNullable<Row[K]> } : never);
};

export interface FindOptions<Row> {
  readonly orderBy?: readonly (readonly [keyof Row & string, 'asc' | 'desc'])[];
  readonly limit?: number;
  /** Keyset page: rows strictly after these values of the `orderBy` columns (all in one direction). */
  readonly after?: readonly unknown[];
  /** Row locks until the end of the transaction; `skip-locked` leaves out rows that another transaction holds. */
  readonly lock?: 'update' | 'skip-locked';
}

/**
 * One transaction. After a statement that failed nothing of it can be committed, even where the work goes on as if nothing were.
 * Every guarded change is an `update` whose `where` names what must still be true; zero rows back
 * means that somebody else won (invariant 4).
 */
export interface Tx {
  /** The database's clock, ms: one value for the whole transaction. */
  now(): Promise<number>;
  insert<R extends object>(t: Table<R>, rows: R | readonly R[]): Promise<void>;
  /** Rows of several tables in one statement, in the order of their foreign keys or not. */
  insertAll(batches: readonly Batch[]): Promise<void>;
  /** Leaves out rows whose key or unique set exists; returns those that went in. */
  insertNew<R extends object>(t: Table<R>, rows: readonly R[]): Promise<R[]>;
  /** Replaces whole rows by primary key. */
  upsert<R extends object>(t: Table<R>, rows: readonly R[]): Promise<void>;
  find<R extends object>(t: Table<R>, where: Where<R>, options?: FindOptions<R>): Promise<R[]>;
  first<R extends object>(t: Table<R>, where: Where<R>, options?: FindOptions<R>): Promise<R | null>;
  /** Returns the changed rows as they stand after the change. Where there are any, `also` goes in with them, in the same statement. */
  update<R extends object>(t: Table<R>, where: Where<R>, patch: Patch<R>, also?: Batch): Promise<R[]>;
  remove<R extends object>(t: Table<R>, where: Where<R>): Promise<number>;
  /** Runs a function of the schema. */
  call<A extends object, R extends object>(procedure: Procedure<A, R>, args: A): Promise<R>;
  /** Runs after the commit, in order, best effort: its failure is the store's to report. Never when the transaction rolls back. For wake-ups only. */
  afterCommit(action: AfterCommit): void;
}

export type AfterCommit = () => void | Promise<void>;

/** What is committed stays so whatever these do: one that fails is told of and the next one runs. */
export async function runAfterCommit(
  actions: readonly AfterCommit[],
  onError: (error: unknown) => void,
): Promise<void> {
  for (const action of actions) {
    try {
      await action();
    } catch (error) {
      onError(error);
    }
  }
}

/** On whose behalf a transaction runs; it chooses the database role and what row-level security lets through. */
export type Actor =
  | { readonly as: 'tenant'; readonly organizationId: string; readonly projectIds: readonly string[] | 'all' }
  | { readonly as: 'worker' };

export const WORKER: Actor = { as: 'worker' };

/**
 * Narrows a filter to the rows of one actor: its organization, and its projects where its key is bound to some. The first of the
 * two fences around a tenant's rows (invariant 10); row-level security is the second.
 */
export function within(actor: Actor): { organizationId?: string; projectId?: { in: readonly string[] } } {
  if (actor.as === 'worker') return {};
  const { organizationId, projectIds } = actor;
  return projectIds === 'all' ? { organizationId } : { organizationId, projectId: { in: projectIds } };
}

/** Where truth is kept. One call is one transaction; it is retried as a whole on serialization failure or deadlock. */
export interface Store {
  transaction<T>(actor: Actor, work: (tx: Tx) => Promise<T>): Promise<T>;
}

/** A unique constraint said no; the name of the table and the columns, never the values. */
export class UniqueViolation extends Error {
  constructor(
    readonly tableName: string,
    readonly columns: string,
  ) {
    super(`${tableName} already has a row with this ${columns}`);
    this.name = 'UniqueViolation';
  }
}

export const snake = (camel: string): string => camel.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

type Operator = 'eq' | 'in' | 'not' | 'lt' | 'lte' | 'gt' | 'gte' | 'isNull';

/** A condition taken apart; refuses null and undefined, which would silently match nothing or everything. */
export function conditionOf(column: string, condition: unknown): { op: Operator; value: unknown } {
  if (condition === undefined || condition === null)
    throw new TypeError(`condition on ${column} is ${String(condition)}; use {isNull: true}`);
  if (typeof condition === 'object' && !Array.isArray(condition)) {
    const entries = Object.entries(condition);
    const [op, value] = entries[0] ?? [];
    if (entries.length === 1 && op !== undefined && ['in', 'not', 'lt', 'lte', 'gt', 'gte', 'isNull'].includes(op)) {
      return { op: op as Operator, value };
    }
    throw new TypeError(`condition on ${column} is not understood`);
  }
  return { op: 'eq', value: condition };
}

/** `{add: n}` or a plain value. */
export function addition(value: unknown): number | bigint | null {
  if (typeof value === 'object' && value !== null && 'add' in value) {
    const n = value.add;
    if (typeof n === 'number' || typeof n === 'bigint') return n;
  }
  return null;
}
