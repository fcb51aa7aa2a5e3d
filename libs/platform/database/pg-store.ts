import { DataSource, QueryFailedError, type QueryRunner } from 'typeorm';
import {
  addition,
  conditionOf,
  runAfterCommit,
  snake,
  UniqueViolation,
  type Actor,
  type AfterCommit,
  type ColumnKind,
  type FindOptions,
  type Patch,
  type Store,
  type Table,
  type Tx,
  type Where,
} from './table.js';
import { identifier, join, Sql, sql } from './sql.js';

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

const RETRYABLE = new Set(['40001', '40P01']);

/** PostgreSQL behind the Store port. One transaction takes one connection; nothing runs outside a transaction. */
export class PgStore implements Store {
  readonly counts: StatementCounts = { transactions: 0, statements: 0 };

  /** `onAfterCommitError` hears of wake-ups that failed; nobody else does. */
  constructor(
    private readonly roles: PgRoles,
    private readonly onAfterCommitError: (error: unknown) => void = () => undefined,
  ) {}

  async transaction<T>(actor: Actor, work: (tx: PgTx) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        const { result, after } = await this.once(actor, work);
        await runAfterCommit(after, this.onAfterCommitError);
        return result;
      } catch (error) {
        if (attempt >= 5 || !RETRYABLE.has(sqlState(error))) throw error;
      }
    }
  }

  private async once<T>(actor: Actor, work: (tx: PgTx) => Promise<T>): Promise<{ result: T; after: AfterCommit[] }> {
    const runner = (actor.as === 'worker' ? this.roles.worker : this.roles.app).createQueryRunner();
    await runner.connect();
    const tx = new PgTx(runner, this.counts);
    try {
      await runner.query('BEGIN');
      this.counts.transactions++;
      if (actor.as !== 'worker') await tx.query(scopeOf(actor));
      const result = await work(tx);
      // PostgreSQL answers the COMMIT of a transaction in which a statement failed by rolling it back, without an error.
      if (tx.failure !== null) throw tx.failure.error;
      await runner.query('COMMIT');
      return { result, after: tx.after };
    } catch (error) {
      await runner.query('ROLLBACK').catch(() => undefined);
      throw translate(error);
    } finally {
      await runner.release();
    }
  }
}

/** Sets whose rows the policies let through; local to the transaction. */
function scopeOf(actor: Exclude<Actor, { as: 'worker' }>): Sql {
  const projects = actor.projectIds === 'all' ? '*' : actor.projectIds.join(',');
  return sql`select set_config('berth.organization', ${actor.organizationId}, true), set_config('berth.projects', ${projects}, true)`;
}

function sqlState(error: unknown): string {
  const driver =
    error instanceof QueryFailedError
      ? (error.driverError as { code?: unknown })
      : (error as { code?: unknown } | null);
  return typeof driver?.code === 'string' ? driver.code : '';
}

function translate(error: unknown): unknown {
  if (sqlState(error) !== '23505') return error;
  const driver = (error as QueryFailedError).driverError as { table?: string; constraint?: string };
  return new UniqueViolation(driver.table ?? 'table', driver.constraint ?? 'key');
}

export class PgTx implements Tx {
  readonly after: AfterCommit[] = [];
  /** The first statement that failed: the transaction cannot be committed any more, whatever the work makes of it. */
  failure: { readonly error: unknown } | null = null;
  private startedAtMs: number | null = null;

  constructor(
    private readonly runner: QueryRunner,
    private readonly counts: StatementCounts,
  ) {}

  /** Raw SQL for reports and bulk work that the Store port cannot say; PostgreSQL only. */
  async query<R extends object>(statement: Sql): Promise<R[]> {
    this.counts.statements++;
    const { text, params } = statement.compile();
    try {
      const result = (await this.runner.query(text, params, true)) as { records?: R[] };
      return result.records ?? [];
    } catch (error) {
      this.failure ??= { error };
      throw error;
    }
  }

  async now(): Promise<number> {
    if (this.startedAtMs === null) {
      const [row] = await this.query<{ ms: string }>(
        sql`select (extract(epoch from now()) * 1000)::bigint::text as ms`,
      );
      this.startedAtMs = Number(row?.ms);
    }
    return this.startedAtMs;
  }

  async insert<R extends object>(t: Table<R>, rows: R | readonly R[]): Promise<void> {
    const list = Array.isArray(rows) ? (rows as readonly R[]) : [rows as R];
    for (let i = 0; i < list.length; i += CHUNK) await this.query(insertSql(t, list.slice(i, i + CHUNK), sql``));
  }

  async insertNew<R extends object>(t: Table<R>, rows: readonly R[]): Promise<R[]> {
    const added: R[] = [];
    for (let i = 0; i < rows.length; i += CHUNK) {
      const back = await this.query(insertSql(t, rows.slice(i, i + CHUNK), sql` on conflict do nothing returning *`));
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
    const parts: Sql[] = [sql`select * from ${identifier(t.name)}`];
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

  async update<R extends object>(t: Table<R>, where: Where<R>, patch: Patch<R>): Promise<R[]> {
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
          : sql`${column(t, name)} = ${column(t, name)} + ${toSql(kind, added)}${CAST[kind]}`,
      );
    }
    const back = await this.query(
      sql`update ${identifier(t.name)} set ${join(sets, ', ')} where ${join(conditions, ' and ')} returning *`,
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

  afterCommit(action: AfterCommit): void {
    this.after.push(action);
  }
}

/** Rows per insert: 65,535 parameters is the protocol's limit. */
const CHUNK = 500;

/** Without a cast PostgreSQL cannot tell the type of `x + $1` for text parameters. */
const CAST: Record<ColumnKind, Sql> = {
  text: sql``,
  int: sql`::bigint`,
  bigint: sql`::numeric`,
  float: sql`::double precision`,
  bool: sql``,
  time: sql``,
  json: sql``,
  texts: sql``,
};

function kindOf<R extends object>(t: Table<R>, name: string): ColumnKind {
  const kind = (t.columns as Record<string, ColumnKind>)[name];
  if (kind === undefined) throw new TypeError(`${t.name} has no column ${name}`);
  return kind;
}

function column<R extends object>(t: Table<R>, name: string): Sql {
  kindOf(t, name);
  return identifier(snake(name));
}

function toSql(kind: ColumnKind, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (kind === 'time') return new Date(value as number).toISOString();
  if (kind === 'bigint') return (value as bigint).toString();
  if (kind === 'json') return JSON.stringify(value, (_k, v: unknown) => (typeof v === 'bigint' ? v.toString() : v));
  return value;
}

function fromSql<R extends object>(t: Table<R>, row: object): R {
  const raw = row as Record<string, unknown>;
  const out: Record<string, unknown> = {};
  for (const [name, kind] of Object.entries(t.columns) as [string, ColumnKind][]) {
    const value = raw[snake(name)] ?? null;
    out[name] =
      value === null
        ? null
        : kind === 'time'
          ? value instanceof Date
            ? value.getTime()
            : Date.parse(String(value))
          : kind === 'bigint'
            ? BigInt(String(value))
            : kind === 'int' || kind === 'float'
              ? Number(value)
              : value;
  }
  return out as R;
}

function insertSql<R extends object>(t: Table<R>, rows: readonly R[], tail: Sql): Sql {
  const names = Object.keys(t.columns);
  const tuples = rows.map((row) => {
    const given = row as Record<string, unknown>;
    return sql`(${join(
      names.map((n) => sql`${toSql(kindOf(t, n), given[n])}`),
      ', ',
    )})`;
  });
  const columns = names.map((n) => identifier(snake(n)));
  return sql`insert into ${identifier(t.name)} (${join(columns, ', ')}) values ${join(tuples, ', ')}${tail}`;
}

function whereParts<R extends object>(t: Table<R>, where: Where<R>): Sql[] {
  const parts: Sql[] = [];
  for (const [name, condition] of Object.entries(where)) {
    if (condition === undefined) continue;
    const c = column(t, name);
    const kind = kindOf(t, name);
    const { op, value } = conditionOf(name, condition);
    switch (op) {
      case 'eq':
        parts.push(sql`${c} = ${toSql(kind, value)}`);
        break;
      case 'not':
        parts.push(sql`${c} <> ${toSql(kind, value)}`);
        break;
      case 'in':
        parts.push(sql`${c} = any(${(value as unknown[]).map((v) => toSql(kind, v))})`);
        break;
      case 'isNull':
        parts.push(value === true ? sql`${c} is null` : sql`${c} is not null`);
        break;
      case 'lt':
        parts.push(sql`${c} < ${toSql(kind, value)}`);
        break;
      case 'lte':
        parts.push(sql`${c} <= ${toSql(kind, value)}`);
        break;
      case 'gt':
        parts.push(sql`${c} > ${toSql(kind, value)}`);
        break;
      case 'gte':
        parts.push(sql`${c} >= ${toSql(kind, value)}`);
        break;
    }
  }
  return parts;
}

function afterPart<R extends object>(
  t: Table<R>,
  order: FindOptions<R>['orderBy'] & object,
  after: readonly unknown[],
): Sql {
  const columns = order.map(([c]) => column(t, c));
  const values = order.map(([c], i) => sql`${toSql(kindOf(t, c), after[i])}`);
  const directions = new Set(order.map(([, d]) => d));
  if (order.length === 0 || directions.size !== 1) throw new TypeError('a keyset page needs orderBy in one direction');
  return directions.has('asc')
    ? sql`(${join(columns, ', ')}) > (${join(values, ', ')})`
    : sql`(${join(columns, ', ')}) < (${join(values, ', ')})`;
}
