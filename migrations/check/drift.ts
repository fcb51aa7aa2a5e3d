import type { Client } from 'pg';
import { snake, type ColumnKind } from '#platform/database';
import type { AnyTable } from './tables.js';

/** SQL types that a kind of column can be read from and written to without loss. */
const TYPES: Readonly<Record<ColumnKind, readonly string[]>> = {
  text: ['text'],
  int: ['integer', 'bigint', 'smallint'],
  bigint: ['bigint', 'numeric(38,0)'],
  float: ['double precision'],
  bool: ['boolean'],
  time: ['timestamp with time zone'],
  json: ['jsonb'],
  texts: ['text[]'],
  bytes: ['bytea'],
};

interface InDatabase {
  readonly columns: ReadonlyMap<string, { type: string; optional: boolean }>;
  readonly keys: ReadonlySet<string>;
  readonly primary: string | null;
}

/** Where definitions and database differ, one sentence each; empty when they agree. */
export async function tableDrift(client: Client, tables: readonly AnyTable[]): Promise<string[]> {
  const found = await read(client);
  const wrong: string[] = [];
  for (const t of tables) {
    const there = found.get(t.name);
    if (there) wrong.push(...compare(t, there));
    else wrong.push(`${t.name} is defined and not in the database`);
  }
  const defined = new Set(tables.map((t) => t.name));
  for (const name of found.keys())
    if (!defined.has(name)) wrong.push(`${name} is in the database and has no definition`);
  return wrong.sort();
}

function compare(t: AnyTable, there: InDatabase): string[] {
  const wrong: string[] = [];
  const defined = new Map(Object.entries(t.columns).map(([name, kind]) => [snake(name), kind]));
  for (const [name, kind] of defined) {
    const column = there.columns.get(name);
    if (!column) wrong.push(`${t.name}.${name} is defined and not in the database`);
    else if (!TYPES[kind].includes(column.type))
      wrong.push(`${t.name}.${name} is ${column.type}, which no ${kind} can be`);
  }
  for (const [name, column] of there.columns) {
    // A row that we write must be complete without it; then it is still lost when the row is replaced.
    if (!defined.has(name))
      wrong.push(`${t.name}.${name} is in the database and not defined${column.optional ? '' : ', and needs a value'}`);
  }
  for (const column of t.key)
    if (!(column in t.columns)) wrong.push(`${t.name}: the key names ${column}, which is no column`);
  const key = columnSet(t.key);
  if (there.primary !== key)
    wrong.push(`${t.name} has the primary key (${there.primary ?? 'none'}), defined is (${key})`);
  for (const set of t.unique) {
    if (!there.keys.has(columnSet(set))) wrong.push(`${t.name} does not hold (${columnSet(set)}) unique`);
  }
  const known = new Set([key, ...t.unique.map(columnSet)]);
  for (const set of there.keys)
    // What contains the primary key is unique by itself: such a set only serves foreign keys.
    if (!known.has(set) && !t.key.every((c) => set.split(', ').includes(snake(c))))
      wrong.push(`${t.name} holds (${set}) unique and its definition does not say so`);
  return wrong;
}

/** Order does not matter to uniqueness. */
function columnSet(columns: readonly string[]): string {
  return columns.map(snake).sort().join(', ');
}

async function read(client: Client): Promise<Map<string, InDatabase>> {
  const columns = await client.query<{ name: string; column: string; type: string; optional: boolean }>(
    `select relname as name, attname as column, format_type(atttypid, atttypmod) as type, (not attnotnull or atthasdef) as optional
     from pg_class r join pg_attribute on attrelid = r.oid
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname <> 'berth_migrations'
       and attnum > 0 and not attisdropped`,
  );
  // Only whole-table uniqueness: a partial or expression index says nothing about a set of columns.
  const keys = await client.query<{ name: string; primary: boolean; columns: string[] }>(
    `select relname as name, indisprimary as primary, array_agg(attname::text) as columns
     from pg_index join pg_class r on r.oid = indrelid join pg_attribute a on attrelid = r.oid and attnum = any (indkey)
     where relnamespace = 'public'::regnamespace and relname <> 'berth_migrations' and indisunique and indpred is null and indexprs is null
     group by relname, indexrelid, indisprimary`,
  );
  const found = new Map<
    string,
    { columns: Map<string, { type: string; optional: boolean }>; keys: Set<string>; primary: string | null }
  >();
  for (const { name, column, type, optional } of columns.rows) {
    const entry = found.get(name) ?? { columns: new Map(), keys: new Set<string>(), primary: null };
    entry.columns.set(column, { type, optional });
    found.set(name, entry);
  }
  for (const row of keys.rows) {
    const entry = found.get(row.name);
    if (!entry) continue;
    const set = row.columns.toSorted().join(', ');
    entry.keys.add(set);
    if (row.primary) entry.primary = set;
  }
  return found;
}
