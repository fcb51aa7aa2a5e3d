import { DomainError } from '#kernel';
import type { Tx } from '#platform/database';
import { usageSums, type UsageQuery } from './usage-sums.js';

/** More totals than these nobody reads at once. */
const TOTALS_MAX = 100_000;

export const usageGroups = ['hour', 'day', 'project', 'job', 'resource'] as const;
export type UsageGroup = (typeof usageGroups)[number];

export interface UsageTotal {
  readonly group: string;
  readonly meter: string;
  readonly unit: string;
  readonly quantity: bigint;
  readonly amountNano: bigint;
}

/**
 * What was used and what it cost, by one dimension; in some projects or in all. An interval counts where its last millisecond
 * lies, as on invoices, so that reports of adjoining times add up. Row-level security keeps it to the
 * caller's own once more.
 */
export async function usageBy(
  tx: Tx,
  of: Pick<UsageQuery, 'projectIds' | 'fromMs' | 'toMs' | 'only'> & {
    readonly organizationId: string | null;
    readonly by: UsageGroup;
    readonly side?: UsageQuery['side'];
    /** More totals than these are refused. */
    readonly most?: number;
  },
): Promise<UsageTotal[]> {
  const { by, side = 'charge', most = TOTALS_MAX, ...rest } = of;
  const bucket = by === 'hour' || by === 'day' ? by : null;
  const groupBy = by === 'hour' || by === 'day' ? [] : [by];
  const { rows } = await usageSums(tx, { ...rest, side, bucket, groupBy, most: most + 1 });
  if (rows.length > most)
    throw new DomainError('too-large', 'report-too-long', `These are more than ${most} totals.`, {
      fix: 'Ask for a shorter time, or with groupBy, which comes in pages.',
    });
  return rows
    .map(({ at, group, ...sum }) => ({ group: at === null ? (group[0] ?? 'idle') : timeOf(at, by), ...sum }))
    .sort((a, b) => (a.group < b.group ? -1 : a.group > b.group ? 1 : 0));
}

const timeOf = (at: number, by: UsageGroup): string =>
  by === 'day' ? new Date(at).toISOString().slice(0, 10) : `${new Date(at).toISOString().slice(0, 19)}Z`;
