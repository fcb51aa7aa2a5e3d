import { identifier, join, Sql, sql } from './sql.js';
import {
  conditionOf,
  snake,
  type Actor,
  type Batch,
  type ColumnKind,
  type FindOptions,
  type Procedure,
  type Table,
  type Where,
} from './table.js';

/** The database's clock in ms; every statement that gives rows back brings it along. */
export const NOW = sql`(extract(epoch from now()) * 1000)::bigint::text as tx_now_ms`;

/** Says whose rows the policies let through, until the end of the transaction. */
export function entering({ organizationId, projectIds }: Exclude<Actor, { as: 'worker' }>): Sql {
  const projects = projectIds === 'all' ? '*' : projectIds.join(',');
  return sql`set_config('berth.organization', ${organizationId}, true) as organization, set_config('berth.projects', ${projects}, true) as projects`;
}

/** The call of a function; `alone` for an actor it enters first: the call needs what the entering gives, so it cannot come before it. */
export function callSql<A extends object, R extends object>(
  procedure: Procedure<A, R>,
  args: A,
  alone: Actor | null,
): Sql {
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

/** What PostgreSQL is told where it cannot see a parameter's type. */
export const TYPE: Record<ColumnKind, Sql> = {
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

/** Throws for a column that the table does not declare: names never come from outside. */
export function kindOf<R extends object>(t: Table<R>, name: string): ColumnKind {
  const kind = (t.columns as Record<string, ColumnKind>)[name];
  if (kind === undefined) throw new TypeError(`${t.name} has no column ${name}`);
  return kind;
}

/** The column's name in SQL. */
export function column<R extends object>(t: Table<R>, name: string): Sql {
  kindOf(t, name);
  return identifier(snake(name));
}

/** A value as the driver takes it: instants as ISO text, bigint as decimal text, bytes from hex. */
export function toSql(kind: ColumnKind, value: unknown): unknown {
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

/** A row of the table as the rooms know it. */
export function fromSql<R extends object>(t: Table<R>, row: object): R {
  return readRow<R>(t.columns, row);
}

/** Values of these columns as the rooms know them, the reverse of `toSql`; other columns are left out. */
export function readRow<R extends object>(columns: { readonly [K in keyof R & string]: ColumnKind }, row: object): R {
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

/** One insert of the rows, every column given; `tail`: what is to be done on conflict, or what comes back. */
export function insertSql<R extends object>(t: Table<R>, rows: readonly R[], tail: Sql): Sql {
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
export function insertWhereChanged({ table: t, rows }: Batch): Sql {
  const names = Object.keys(t.columns);
  const selects = rows.map((row) => {
    const given = row as Record<string, unknown>;
    const values = names.map((n) => sql`${toSql(kindOf(t, n), given[n])}${TYPE[kindOf(t, n)]}`);
    return sql`select ${join(values, ', ')} where exists (select 1 from changed)`;
  });
  const columns = names.map((n) => identifier(snake(n)));
  return sql`insert into ${identifier(t.name)} (${join(columns, ', ')}) ${join(selects, ' union all ')}`;
}

/** The conditions, each to be joined by `and`. */
export function whereParts<R extends object>(t: Table<R>, where: Where<R>): Sql[] {
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

/** What comes behind the last row of a page; throws where the order has no one direction. */
export function afterPart<R extends object>(
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

/** Texts that may be prepared; each stays for as long as its connection. */
const PREPARED_AT_MOST = 500;
const prepared = new Map<string, string>();

/** The name under which a connection keeps a statement's plan; none for texts that hardly come again. */
export function preparedName(text: string): string | undefined {
  const known = prepared.get(text);
  if (known !== undefined || prepared.size >= PREPARED_AT_MOST || text.length > 4_000) return known;
  const name = `berth_${prepared.size + 1}`;
  prepared.set(text, name);
  return name;
}
