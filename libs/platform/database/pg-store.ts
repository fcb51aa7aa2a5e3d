import type { DataSource, QueryRunner } from 'typeorm';
import type { ClientBase } from 'pg';
import {
  addition,
  conditionOf,
  runAfterCommit,
  snake,
  UniqueViolation,
  type Actor,
  type AfterCommit,
  type Batch,
  type ColumnKind,
  type FindOptions,
  type Patch,
  type Procedure,
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

/** Texts that may be prepared; each stays for as long as its connection. */
const PREPARED_AT_MOST = 500;
const prepared = new Map<string, string>();

/** Runs it again after what undid it whole. */
async function again<T>(once: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once();
    } catch (error) {
      if (attempt >= 5 || !RETRYABLE.has(sqlState(error))) throw error;
    }
  }
}

/** Says whose rows the policies let through, until the end of the transaction. */
function entering({ organizationId, projectIds }: Exclude<Actor, { as: 'worker' }>): Sql {
  const projects = projectIds === 'all' ? '*' : projectIds.join(',');
  return sql`set_config('berth.organization', ${organizationId}, true) as organization, set_config('berth.projects', ${projects}, true) as projects`;
}

/** The call of a function; `alone` for an actor it enters first: the call needs what the entering gives, so it cannot come before it. */
function callSql<A extends object, R extends object>(procedure: Procedure<A, R>, args: A, alone: Actor | null): Sql {
  const given = args as Record<string, unknown>;
  const enters = alone === null || alone.as === 'worker' ? null : alone;
  const values = (Object.entries(procedure.args) as [string, ColumnKind][]).map(([name, kind]) =>
    enters === null
      ? sql`${toSql(kind, given[name])}`
      : sql`case when entered.organization || entered.projects is not null then ${toSql(kind, given[name])}${TYPE[kind]} end`,
  );
  const columns = join([...Object.keys(procedure.result).map((name) => identifier(snake(name))), NOW], ', ');
  const call = sql`${identifier(procedure.name)}(${values.length === 0 ? sql`` : join(values, ', ')})`;
  if (enters === null) return sql`select ${columns} from ${call}`;
  return sql`select ${columns} from (select ${entering(enters)}) as entered cross join lateral ${call} as called`;
}

/** The name under which a connection keeps a statement's plan; none for texts that hardly come again. */
function preparedName(text: string): string | undefined {
  const known = prepared.get(text);
  if (known !== undefined || prepared.size >= PREPARED_AT_MOST || text.length > 4_000) return known;
  const name = `berth_${prepared.size + 1}`;
  prepared.set(text, name);
  return name;
}

/** The database's clock in ms; every statement that gives rows back brings it along. */
const NOW = sql`(extract(epoch from now()) * 1000)::bigint::text as tx_now_ms`;

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

const columnLists = new WeakMap<object, Sql>();

/** Rows per insert: 65,535 parameters is the protocol's limit. */
const CHUNK = 500;

/** What PostgreSQL is told where it cannot see a parameter's type. */
const TYPE: Record<ColumnKind, Sql> = {
  text: sql`::text`,
  int: sql`::bigint`,
  bigint: sql`::numeric`,
  float: sql`::double precision`,
  bool: sql`::boolean`,
  time: sql`::timestamptz`,
  json: sql`::jsonb`,
  texts: sql`::text[]`,
  bytes: sql`::bytea`,
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
  if (kind === 'texts') return arrayText(value as readonly (string | null)[]);
  if (kind === 'bytes') return Buffer.from(value as string, 'hex');
  if (kind === 'json') return JSON.stringify(value, (_k, v: unknown) => (typeof v === 'bigint' ? v.toString() : v));
  return value;
}

/** An array as PostgreSQL reads it. The driver does the same by way of two replacements for each text, which tells in large batches. */
function arrayText(values: readonly (string | null)[]): string {
  let text = '{';
  for (const value of values) {
    if (text.length > 1) text += ',';
    if (value === null) text += 'NULL';
    else text += `"${/["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value}"`;
  }
  return `${text}}`;
}

function fromSql<R extends object>(t: Table<R>, row: object): R {
  return readRow<R>(t.columns, row);
}

function readRow<R extends object>(columns: { readonly [K in keyof R & string]: ColumnKind }, row: object): R {
  const raw = row as Record<string, unknown>;
  const out: Record<string, unknown> = {};
  for (const [name, kind] of Object.entries(columns) as [string, ColumnKind][]) {
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
              : kind === 'bytes'
                ? (value as Buffer).toString('hex')
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

/** Inserts the rows when the statement's part `changed` has any; a bare parameter in a select has no type, so each is cast. */
function insertWhereChanged({ table: t, rows }: Batch): Sql {
  const names = Object.keys(t.columns);
  const selects = rows.map((row) => {
    const given = row as Record<string, unknown>;
    const values = names.map((n) => sql`${toSql(kindOf(t, n), given[n])}${TYPE[kindOf(t, n)]}`);
    return sql`select ${join(values, ', ')} where exists (select 1 from changed)`;
  });
  const columns = names.map((n) => identifier(snake(n)));
  return sql`insert into ${identifier(t.name)} (${join(columns, ', ')}) ${join(selects, ' union all ')}`;
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
