import { DAY, HOUR } from '#kernel';
import { identifier, join, PgTx, sql, type Sql, type Tx } from '#platform/database';
import { usageSpans, type Span } from './usage-spans.js';
import { usageRecords, type UsageRow } from './usage.table.js';

/** What usage can be told apart by, and the column that says it. */
const COLUMN = {
  project: 'projectId',
  provider: 'providerId',
  class: 'providerClass',
  resource: 'resource',
  model: 'model',
  sku: 'sku',
  job: 'jobId',
  endpoint: 'endpointId',
  meter: 'meter',
} as const satisfies Record<string, keyof UsageRow>;
export type UsageDimension = keyof typeof COLUMN;
export const usageDimensions = Object.keys(COLUMN) as readonly UsageDimension[];

export interface UsageQuery {
  /** Null: of all organizations, for the broker's own people. */
  readonly organizationId: string | null;
  readonly projectIds: readonly string[] | 'all';
  readonly side: 'charge' | 'cost';
  readonly fromMs: number;
  readonly toMs: number;
  /** Null: one sum over all the time. */
  readonly bucket: 'hour' | 'day' | null;
  readonly groupBy: readonly UsageDimension[];
  /** Only what has one of these values. */
  readonly only?: Readonly<Partial<Record<UsageDimension, readonly string[]>>>;
  readonly limit?: number;
  /** Without pages: no more sums than these are read, and who asks is to see that there are too many. */
  readonly most?: number;
  /** Those after this place, see `placeOf`. */
  readonly after?: readonly (string | number)[];
}

export interface UsageSum {
  /** First instant of the hour or day (UTC); null where the time is not cut. */
  readonly at: number | null;
  /** In the order of `groupBy`; null where the records have none. */
  readonly group: readonly (string | null)[];
  readonly meter: string;
  readonly unit: string;
  readonly quantity: bigint;
  readonly amountNano: bigint;
}

export interface UsageSums {
  readonly rows: readonly UsageSum[];
  /** Of everything that was asked for, whatever page the rows are. */
  readonly amountNano: bigint;
}

/** What orders sums; unique among them. */
export function placeOf(sum: UsageSum): (string | number)[] {
  return [sum.at ?? 0, ...sum.group.map((g) => g ?? ''), sum.meter, sum.unit];
}

/**
 * Usage summed up by hour or day and by any dimensions, ordered by `placeOf`; different meters are never added up. An interval counts
 * where its last millisecond lies, as on invoices. Sums and what waits for them are read in one statement: never behind, never double.
 * A page is read in as many statements as it takes, each over whole days.
 */
export async function usageSums(tx: Tx, query: UsageQuery): Promise<UsageSums> {
  return tx instanceof PgTx ? inPostgres(tx, query) : inMemory(tx, query);
}

const PERIOD = {
  usage_days: sql`period_day`,
  usage_hours: sql`period_hour`,
  usage_job_hours: sql`period_hour`,
  usage_deltas: sql`period_hour`,
  usage_records: sql`period_hour`,
};
const DIMENSION_SQL: Record<UsageDimension, Sql> = {
  project: sql`project_id`,
  provider: sql`provider_id`,
  class: sql`provider_class`,
  resource: sql`resource`,
  model: sql`model`,
  sku: sql`sku`,
  job: sql`job_id`,
  endpoint: sql`endpoint_id`,
  meter: sql`meter`,
};
const iso = (ms: number): string => new Date(ms).toISOString();

async function inPostgres(tx: PgTx, query: UsageQuery): Promise<UsageSums> {
  const { bucket, after, toMs, limit } = query;
  if (limit === undefined) {
    const rows = await sumsIn(tx, query.most === undefined ? query : { ...query, limit: query.most });
    return { rows, amountNano: rows.reduce((n, r) => n + r.amountNano, 0n) };
  }
  const amountNano = await wholeAmount(tx, query);
  if (bucket === null) return { rows: await sumsIn(tx, query), amountNano };
  // Sums come in the order of their hours: no earlier time than the page's is read, and no more than fills it.
  const startMs = Math.max(query.fromMs, typeof after?.[0] === 'number' ? after[0] : 0);
  const rows: UsageSum[] = [];
  let spanMs = DAY;
  for (let fromMs = startMs; fromMs < toMs && rows.length < limit;) {
    const endMs = Math.min(toMs, Math.floor((fromMs + spanMs) / DAY) * DAY);
    const left = limit - rows.length;
    rows.push(...(await sumsIn(tx, { ...query, fromMs, toMs: endMs, limit: left })));
    const perMs = rows.length / (endMs - startMs);
    spanMs = Math.max(DAY, rows.length === 0 ? 4 * spanMs : (1.2 * (limit - rows.length)) / perMs);
    fromMs = endMs;
  }
  return { rows, amountNano };
}

/** What the query is about, as conditions; not its time. */
function asked({ side, organizationId, projectIds, only = {} }: UsageQuery): Sql[] {
  return [
    sql`side = ${side}`,
    ...(organizationId === null ? [] : [sql`organization_id = ${organizationId}`]),
    ...(projectIds === 'all' ? [] : [sql`project_id = any(${[...projectIds]})`]),
    ...Object.entries(only).map(([d, values]) => sql`${DIMENSION_SQL[d as UsageDimension]} = any(${[...values]})`),
  ];
}

async function wholeAmount(tx: PgTx, query: UsageQuery): Promise<bigint> {
  const parts = sources(query, 'day', query.only?.job !== undefined).map((s) => sql`select amount_nano ${s.rest}`);
  if (parts.length === 0) return 0n;
  const [row] = await tx.query<{ whole: string }>(
    sql`select coalesce(sum(amount_nano), 0)::text as whole from (${join(parts, ' union all ')}) as every`,
  );
  return BigInt(row?.whole ?? 0);
}

/** All sums of a time in one statement. */
async function sumsIn(tx: PgTx, query: UsageQuery): Promise<UsageSum[]> {
  const { bucket, groupBy, after, limit } = query;
  const byJob = query.only?.job !== undefined || groupBy.includes('job');
  const from = sources(query, bucket === 'hour' ? 'hour' : 'day', byJob);
  if (from.length === 0) return [];
  // One collation for grouping and order: one sort serves both.
  const shown = groupBy.map((d, i) => sql`coalesce(${DIMENSION_SQL[d]}, '') collate "C" as ${identifier(`g${i}`)}`);
  const columns = join(
    [...shown, sql`meter collate "C" as meter`, sql`unit collate "C" as unit`, sql`quantity`, sql`amount_nano`],
    ', ',
  );
  const rows = from.map(({ at, rest }) => {
    const cut = bucket === null ? sql`null::timestamptz` : bucket === 'day' ? sql`date_trunc('day', ${at}, 'UTC')` : at;
    return sql`select ${cut} as at, ${columns} ${rest}`;
  });
  const groups = [...groupBy.map((_, i) => identifier(`g${i}`)), sql`meter`, sql`unit`];
  const place = join(bucket === null ? groups : [sql`at`, ...groups], ', ');
  const mark = (bucket === null ? after?.slice(1) : after)?.map((v) =>
    typeof v === 'number' ? sql`${iso(v)}::timestamptz` : sql`${v}::text collate "C"`,
  );
  const found = await tx.query<Record<string, string> & { at?: Date }>(
    sql`select ${place}, sum(quantity)::text as quantity, sum(amount_nano)::text as amount
        from (${join(rows, ' union all ')}) as used ${mark ? sql`where (${place}) > (${join(mark, ', ')})` : sql``}
        group by ${place} order by ${place} ${limit === undefined ? sql`` : sql`limit ${limit}`}`,
  );
  return found.map((r) => ({
    at: r.at?.getTime() ?? null,
    group: groupBy.map((_, i) => r[`g${i}`] || null),
    meter: r['meter'] ?? '',
    unit: r['unit'] ?? '',
    quantity: BigInt(r['quantity'] ?? 0),
    amountNano: BigInt(r['amount'] ?? 0),
  }));
}

interface Source {
  /** The hour or day that a row counts in. */
  readonly at: Sql;
  readonly rest: Sql;
}

/** Every table and time that together hold each quantity once. */
function sources(query: UsageQuery, finest: 'hour' | 'day', byJob: boolean): Source[] {
  const mine = asked(query);
  const from = (table: keyof typeof PERIOD, low: Sql, high: Sql): Source => ({
    at: PERIOD[table],
    rest: sql`from ${identifier(table)} where ${join([...mine, low, high], ' and ')}`,
  });
  const within = (table: keyof typeof PERIOD, span: Span): Source =>
    from(table, sql`${PERIOD[table]} >= ${iso(span.fromMs)}`, sql`${PERIOD[table]} < ${iso(span.toMs)}`);
  const spans = usageSpans(query.fromMs, query.toMs, byJob ? 'hour' : finest);
  return [
    ...spans.days.flatMap((s) => [within('usage_days', s), within('usage_deltas', s)]),
    ...spans.hours.flatMap((s) => [within(byJob ? 'usage_job_hours' : 'usage_hours', s), within('usage_deltas', s)]),
    ...spans.records.map((s) =>
      from('usage_records', sql`to_at >= ${iso(s.fromMs + 1)}`, sql`to_at < ${iso(s.toMs + 1)}`),
    ),
  ];
}

async function inMemory(tx: Tx, query: UsageQuery): Promise<UsageSums> {
  const { organizationId, projectIds, side, fromMs, toMs, bucket, groupBy, only = {} } = query;
  const found = await tx.find(usageRecords, {
    side,
    toAt: { gt: fromMs },
    ...(organizationId === null ? {} : { organizationId }),
    ...(projectIds === 'all' ? {} : { projectId: { in: projectIds } }),
  });
  const sums = new Map<string, UsageSum>();
  let whole = 0n;
  for (const r of found) {
    const wanted = Object.entries(only).every(([d, values]) => values.includes(r[COLUMN[d as UsageDimension]] ?? ''));
    if (r.toAt > toMs || !wanted) continue;
    const step = bucket === 'hour' ? HOUR : DAY;
    const sum: UsageSum = {
      at: bucket === null ? null : Math.floor((r.toAt - 1) / step) * step,
      group: groupBy.map((d) => r[COLUMN[d]] || null),
      meter: r.meter,
      unit: r.unit,
      quantity: r.quantity,
      amountNano: r.amountNano,
    };
    const key = JSON.stringify(placeOf(sum));
    const had = sums.get(key);
    sums.set(key, {
      ...sum,
      quantity: sum.quantity + (had?.quantity ?? 0n),
      amountNano: sum.amountNano + (had?.amountNano ?? 0n),
    });
    whole += r.amountNano;
  }
  const { after, limit = query.most } = query;
  const rows = [...sums.values()]
    .sort((a, b) => inOrder(placeOf(a), placeOf(b)))
    .filter((sum) => after === undefined || inOrder(placeOf(sum), after) > 0);
  return { rows: rows.slice(0, limit ?? rows.length), amountNano: whole };
}

function inOrder(a: readonly (string | number)[], b: readonly (string | number)[]): number {
  const i = a.findIndex((v, n) => v !== b[n]);
  if (i < 0) return 0;
  const [x, y] = [a[i] ?? '', b[i] ?? ''];
  return x < y ? -1 : 1;
}
