import { setTimeout } from 'node:timers/promises';
import type { DataSource, QueryRunner } from 'typeorm';
import type { ClientBase } from 'pg';
import {
  addition,
  runAfterCommit,
  snake,
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
import {
  NOW,
  TYPE,
  afterPart,
  callSql,
  column,
  entering,
  fromSql,
  insertSql,
  insertWhereChanged,
  kindOf,
  preparedName,
  readRow,
  toSql,
  whereParts,
} from './pg-sql.js';
import { identifier, join, sql, type Sql } from './sql.js';

/** Counts what the broker asks of PostgreSQL; read by the benches and the metrics page. */
export interface StatementCounts {
  transactions: number;
  statements: number;
}

export interface PgRoles {
  /** Row-level security binds: everything done for a tenant or a provider organization. */
  readonly app: DataSource;
  /** Reconcilers and the like: sees every row. */
  readonly worker: DataSource;
}

/** Serialization failure, deadlock, and a process that was frozen in the middle: each undid the transaction whole. */
const RETRYABLE = new Set(['40001', '40P01', '25P03']);

/** PostgreSQL behind the Store port. One transaction takes one connection; nothing runs outside a transaction. */
export class PgStore implements Store {
  readonly counts: StatementCounts = { transactions: 0, statements: 0 };

  /** `onAfterCommitError` hears of wake-ups that failed; nobody else does. */
  constructor(
    private readonly roles: PgRoles,
    private readonly onAfterCommitError: (error: unknown) => void = () => undefined,
  ) {}

  async transaction<T>(actor: Actor, work: (tx: PgTx) => Promise<T>): Promise<T> {
    const { result, after } = await again(() => this.once(actor, work));
    await runAfterCommit(after, this.onAfterCommitError);
    return result;
  }

  /** One function of the schema as a transaction of its own: a single round trip, and the actor's row-level security in it. */
  async callAlone<A extends object, R extends object>(actor: Actor, procedure: Procedure<A, R>, args: A): Promise<R> {
    const { text, params } = callSql(procedure, args, actor).compile();
    const name = preparedName(text);
    const row = await again(async () => {
      const runner = this.runnerFor(actor);
      const client = (await runner.connect()) as ClientBase;
      try {
        this.counts.transactions++;
        this.counts.statements++;
        const { rows } = await client.query<object>({ text, values: params, ...(name === undefined ? {} : { name }) });
        return rows[0];
      } catch (error) {
        throw translate(error);
      } finally {
        await runner.release();
      }
    });
    if (!row) throw new Error(`${procedure.name} gave no row`);
    return readRow<R>(procedure.result, row);
  }

  private runnerFor(actor: Actor): QueryRunner {
    return (actor.as === 'worker' ? this.roles.worker : this.roles.app).createQueryRunner();
  }

  private async once<T>(actor: Actor, work: (tx: PgTx) => Promise<T>): Promise<{ result: T; after: AfterCommit[] }> {
    const runner = this.runnerFor(actor);
    // TypeORM keeps the pools; its query runner knows no prepared statements, which take half the work off PostgreSQL here.
    const client = (await runner.connect()) as ClientBase;
    const tx = new PgTx(client, this.counts);
    let ended: unknown = null;
    const hear = (error: unknown): void => void (ended ??= error);
    client.on('error', hear);
    try {
      await client.query('BEGIN');
      this.counts.transactions++;
      if (actor.as !== 'worker') await tx.enter(actor);
      const result = await work(tx);
      // PostgreSQL answers the COMMIT of a transaction in which a statement failed by rolling it back, without an error.
      if (tx.failure !== null) throw tx.failure.error;
      await client.query('COMMIT');
      return { result, after: tx.after };
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw translate(saysNotWhy(error) ? (ended ?? error) : error);
    } finally {
      tx.closed = true;
      client.removeListener('error', hear);
      await runner.release();
    }
  }
}

function sqlState(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : '';
}

/** A statement on a connection that was ended between two of them is told only that: why, the connection itself has heard. */
function saysNotWhy(error: unknown): boolean {
  return error instanceof Error && error.message.includes('is not queryable');
}

function translate(error: unknown): unknown {
  if (sqlState(error) !== '23505') return error;
  const { table, constraint } = error as { table?: string; constraint?: string };
  return new UniqueViolation(table ?? 'table', constraint ?? 'key');
}

/** Longer each time: whoever won must have its locks before this one comes back for them, or both stand still again. */
const AGAIN_AFTER_MS = 20;

/** Runs it again after what undid it whole. */
async function again<T>(once: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once();
    } catch (error) {
      if (attempt >= 5 || !RETRYABLE.has(sqlState(error))) throw error;
      await setTimeout(AGAIN_AFTER_MS * attempt);
    }
  }
}

const columnLists = new WeakMap<object, Sql>();

/** Rows per insert: 65,535 parameters is the protocol's limit. */
const CHUNK = 500;

export class PgTx implements Tx {
  readonly after: AfterCommit[] = [];
  /** The first statement that failed: the transaction cannot be committed any more, whatever the work makes of it. */
  failure: { readonly error: unknown } | null = null;
  /** The connection serves somebody else by now. */
  closed = false;
  private startedAtMs: number | null = null;

  constructor(
    private readonly client: ClientBase,
    private readonly counts: StatementCounts,
  ) {}

  /** Sets whose rows the policies let through; local to the transaction. */
  async enter(actor: Exclude<Actor, { as: 'worker' }>): Promise<void> {
    await this.query(sql`select ${entering(actor)}, ${NOW}`);
  }

  /** Raw SQL for reports and bulk work that the Store port cannot say; PostgreSQL only. */
  async query<R extends object>(statement: Sql): Promise<R[]> {
    if (this.closed) throw new Error('the transaction has ended');
    this.counts.statements++;
    const { text, params } = statement.compile();
    try {
      const name = preparedName(text);
      const { rows } = await this.client.query<R>({ text, values: params, ...(name === undefined ? {} : { name }) });
      const [first] = rows as readonly { tx_now_ms?: string }[];
      if (first?.tx_now_ms !== undefined) this.startedAtMs = Number(first.tx_now_ms);
      return rows;
    } catch (error) {
      this.failure ??= { error };
      throw error;
    }
  }

  async now(): Promise<number> {
    if (this.startedAtMs === null) await this.query(sql`select ${NOW}`);
    if (this.startedAtMs === null) throw new Error('the database did not tell its time');
    return this.startedAtMs;
  }

  async insert<R extends object>(t: Table<R>, rows: R | readonly R[]): Promise<void> {
    const list = Array.isArray(rows) ? (rows as readonly R[]) : [rows as R];
    for (let i = 0; i < list.length; i += CHUNK) await this.query(insertSql(t, list.slice(i, i + CHUNK), sql``));
  }

  async insertAll(batches: readonly Batch[]): Promise<void> {
    const parts = batches.filter(({ rows }) => rows.length > 0);
    const small = parts.every(({ rows }) => rows.length <= CHUNK);
    if (!small || parts.length < 2) {
      for (const { table, rows } of parts) await this.insert(table, rows);
      return;
    }
    const inserts = parts.map(
      ({ table, rows }, i) => sql`${identifier(`i${i}`)} as (${insertSql(table, rows, sql``)})`,
    );
    await this.query(sql`with ${join(inserts, ', ')} select ${NOW}`);
  }

  async insertNew<R extends object>(t: Table<R>, rows: readonly R[]): Promise<R[]> {
    const added: R[] = [];
    for (let i = 0; i < rows.length; i += CHUNK) {
      const back = await this.query(
        insertSql(t, rows.slice(i, i + CHUNK), sql` on conflict do nothing returning ${this.columnsOf(t)}`),
      );
      added.push(...back.map((r) => fromSql(t, r)));
    }
    return added;
  }

  async upsert<R extends object>(t: Table<R>, rows: readonly R[]): Promise<void> {
    const columns = Object.keys(t.columns).filter((c) => !(t.key as readonly string[]).includes(c));
    const sets = columns.map((c) => sql`${identifier(snake(c))} = excluded.${identifier(snake(c))}`);
    const keys = t.key.map((k) => identifier(snake(k)));
    for (let i = 0; i < rows.length; i += CHUNK) {
      await this.query(
        insertSql(
          t,
          rows.slice(i, i + CHUNK),
          sql` on conflict (${join(keys, ', ')}) do update set ${join(sets, ', ')}`,
        ),
      );
    }
  }

  async find<R extends object>(t: Table<R>, where: Where<R>, options: FindOptions<R> = {}): Promise<R[]> {
    const parts: Sql[] = [sql`select ${this.columnsOf(t)} from ${identifier(t.name)}`];
    const conditions = whereParts(t, where);
    const order = options.orderBy ?? [];
    if (options.after) conditions.push(afterPart(t, order, options.after));
    let statement = conditions.length > 0 ? sql`${parts[0]} where ${join(conditions, ' and ')}` : sql`${parts[0]}`;
    if (order.length > 0) {
      const terms = order.map(([c, d]) => (d === 'asc' ? sql`${column(t, c)} asc` : sql`${column(t, c)} desc`));
      statement = sql`${statement} order by ${join(terms, ', ')}`;
    }
    if (options.limit !== undefined) statement = sql`${statement} limit ${options.limit}`;
    if (options.lock === 'update') statement = sql`${statement} for update`;
    if (options.lock === 'skip-locked') statement = sql`${statement} for update skip locked`;
    return (await this.query(statement)).map((r) => fromSql(t, r));
  }

  async first<R extends object>(t: Table<R>, where: Where<R>, options: FindOptions<R> = {}): Promise<R | null> {
    return (await this.find(t, where, { ...options, limit: 1 }))[0] ?? null;
  }

  async update<R extends object>(t: Table<R>, where: Where<R>, patch: Patch<R>, also?: Batch): Promise<R[]> {
    const conditions = whereParts(t, where);
    if (conditions.length === 0) throw new TypeError(`update of every row of ${t.name} refused`);
    const sets: Sql[] = [];
    for (const [name, value] of Object.entries(patch)) {
      if (value === undefined) continue;
      const kind = kindOf(t, name);
      const added = addition(value);
      sets.push(
        added === null
          ? sql`${column(t, name)} = ${toSql(kind, value)}`
          : sql`${column(t, name)} = ${column(t, name)} + ${toSql(kind, added)}${TYPE[kind]}`,
      );
    }
    const update = sql`update ${identifier(t.name)} set ${join(sets, ', ')} where ${join(conditions, ' and ')} returning ${this.columnsOf(t)}`;
    const back = await this.query(
      also && also.rows.length > 0
        ? sql`with changed as (${update}), added as (${insertWhereChanged(also)}) select * from changed`
        : update,
    );
    return back.map((r) => fromSql(t, r));
  }

  async remove<R extends object>(t: Table<R>, where: Where<R>): Promise<number> {
    const conditions = whereParts(t, where);
    if (conditions.length === 0) throw new TypeError(`removal of every row of ${t.name} refused`);
    const back = await this.query(
      sql`delete from ${identifier(t.name)} where ${join(conditions, ' and ')} returning 1 as one`,
    );
    return back.length;
  }

  async call<A extends object, R extends object>(procedure: Procedure<A, R>, args: A): Promise<R> {
    const [row] = await this.query(callSql(procedure, args, null));
    if (!row) throw new Error(`${procedure.name} gave no row`);
    return readRow<R>(procedure.result, row);
  }

  /** By name, so that a column that a newer release adds changes no prepared plan. */
  private columnsOf<R extends object>(t: Table<R>): Sql {
    let columns = columnLists.get(t);
    if (!columns)
      columnLists.set(
        t,
        (columns = join(
          Object.keys(t.columns).map((c) => identifier(snake(c))),
          ', ',
        )),
      );
    return this.startedAtMs === null ? sql`${columns}, ${NOW}` : columns;
  }

  afterCommit(action: AfterCommit): void {
    this.after.push(action);
  }
}
