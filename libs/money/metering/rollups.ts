import { DomainError } from '#kernel';
import { PgTx, sql, WORKER, type Procedure, type Store, type Tx } from '#platform/database';

/** Notes folded in one transaction; the more, the fewer rows are written for them. */
const FOLD_AT_ONCE = 20_000;

// The store in memory keeps no sums: its reports count the records themselves.
const usageFold: Procedure<{ limit: number }, { folded: number }> = {
  name: 'usage_fold',
  args: { limit: 'int' },
  result: { folded: 'int' },
  inMemory: () => Promise.resolve({ folded: 0 }),
};

const usageRebuild: Procedure<{ from: number; to: number }, { hours: number; days: number; records: number }> = {
  name: 'usage_rebuild',
  args: { from: 'time', to: 'time' },
  result: { hours: 'int', days: 'int', records: 'int' },
  inMemory: () => Promise.resolve({ hours: 0, days: 0, records: 0 }),
};

/** Folds what waits into the sums, in batches; how many notes that were. Any number may run: all but one have nothing to do. */
export async function foldUsage(store: Store, atOnce = FOLD_AT_ONCE): Promise<number> {
  for (let all = 0; ;) {
    const { folded } = await store.transaction(WORKER, (tx) => tx.call(usageFold, { limit: atOnce }));
    all += folded;
    if (folded < atOnce) return all;
  }
}

/** Makes the sums of whole UTC days anew from the usage records, in one transaction; inserts and reports go on meanwhile. */
export function rebuildUsage(
  tx: Tx,
  of: { readonly fromMs: number; readonly toMs: number },
): Promise<{ hours: number; days: number; records: number }> {
  return tx.call(usageRebuild, { from: of.fromMs, to: of.toMs });
}

/** A sum that is not what the usage records say. */
export interface UsageDifference {
  readonly keptIn: 'days' | 'hours' | 'job hours';
  /** First instant of the hour or day. */
  readonly at: number;
  readonly organizationId: string;
  readonly projectId: string;
  readonly meter: string;
  readonly side: string;
  readonly resource: string;
  readonly providerId: string;
  readonly model: string;
  readonly jobId: string;
  readonly records: Compared;
  readonly quantity: Compared;
  readonly amountNano: Compared;
}
export interface Compared {
  readonly raw: bigint;
  readonly kept: bigint;
}

/** Compares the sums of whole UTC days with the records, all seen at one moment; at most `limit` differences. */
export async function usageDifferences(
  tx: Tx,
  of: { readonly fromMs: number; readonly toMs: number; readonly limit?: number },
): Promise<UsageDifference[]> {
  if (!(tx instanceof PgTx)) return [];
  const [from, to] = [new Date(of.fromMs).toISOString(), new Date(of.toMs).toISOString()];
  const rows = await tx.query<Record<string, string | null> & { period: Date }>(
    sql`select * from usage_differences(${from}, ${to}, ${of.limit ?? 1_000}) order by kept_in, period`,
  );
  const text = (r: Record<string, unknown>, name: string): string => String(r[name] ?? '');
  const compared = (r: Record<string, string | null>, name: string): Compared => ({
    raw: BigInt(r[`raw_${name}`] ?? 0),
    kept: BigInt(r[`kept_${name}`] ?? 0),
  });
  return rows.map((r) => ({
    keptIn: text(r, 'kept_in') as UsageDifference['keptIn'],
    at: r.period.getTime(),
    organizationId: text(r, 'organization_id'),
    projectId: text(r, 'project_id'),
    meter: text(r, 'meter'),
    side: text(r, 'side'),
    resource: text(r, 'resource'),
    providerId: text(r, 'provider_id'),
    model: text(r, 'model'),
    jobId: text(r, 'job_id'),
    records: compared(r, 'records'),
    quantity: compared(r, 'quantity'),
    amountNano: compared(r, 'amount_nano'),
  }));
}

/** First instants of the UTC days from `from` to `to`, both within; dates such as 2026-11-21. */
export function wholeDays(from: string, to: string): { fromMs: number; toMs: number } {
  const [fromMs, lastMs] = [Date.parse(`${from}T00:00:00Z`), Date.parse(`${to}T00:00:00Z`)];
  if (!(fromMs <= lastMs))
    throw new DomainError('invalid', 'range-empty', `The last day, ${to}, lies before the first, ${from}.`, {
      field: 'to',
    });
  return { fromMs, toMs: lastMs + 24 * 3_600_000 };
}
