import { z } from 'zod';
import { csvText, DAY, DomainError, formatUsd, HOUR } from '#kernel';
import { isoTime, nanoUsdText } from '#contracts';
import {
  meters,
  usageDimensions,
  usageGroups,
  type UsageDifference,
  type UsageDimension,
  type UsageQuery,
  type UsageSum,
  type UsageTotal,
} from '#money/metering';
import type { ExplainedDay } from '#compute/leases';
import { MAX_PAGE } from '../../http/lists/page.js';
import { queryInt, queryList } from '../../http/query-types.js';
import { timeText } from '../shapes.js';
import { spanAsked } from './span.js';

const named = queryList(z.string().min(1).max(200)).optional();

/** What `GET /v1/usage` takes; `by` is one dimension without pages, `bucket` and `groupBy` are any of them together. */
export const usageQuery = z.strictObject({
  from: isoTime.optional(),
  to: isoTime.optional(),
  by: z.enum(usageGroups).optional().describe('One dimension, all on one page; `resource` where nothing else is asked'),
  bucket: z.enum(['hour', 'day']).optional().describe('A sum for each hour or day (UTC)'),
  groupBy: queryList(z.enum(usageDimensions), usageDimensions.length)
    .optional()
    .describe('A sum for each combination; meters are always apart'),
  project: named,
  provider: named,
  class: named,
  resource: named,
  model: named,
  sku: named,
  job: named,
  endpoint: named,
  meter: queryList(z.enum(meters)).optional(),
  format: z.enum(['json', 'csv']).optional().describe('`csv`, or `Accept: text/csv`: all sums on one page, as CSV'),
  limit: queryInt(1, MAX_PAGE).optional(),
  cursor: z.string().max(2_000).optional().describe('`nextCursor` of the page before'),
});
export type UsageAsked = z.output<typeof usageQuery>;

const groupFields = z.object({
  project: z.string().nullable(),
  provider: z.string().nullable(),
  class: z.string().nullable(),
  resource: z.string().nullable(),
  model: z.string().nullable(),
  sku: z.string().nullable(),
  job: z.string().nullable(),
  endpoint: z.string().nullable(),
});

export const usageSchema = z
  .object({
    from: isoTime,
    to: isoTime,
    by: z.enum(usageGroups).nullable(),
    bucket: z.enum(['hour', 'day']).nullable(),
    groupBy: z.array(z.enum(usageDimensions)),
    totals: z.array(
      groupFields.partial().extend({
        at: isoTime.optional().describe('Start of the hour or day'),
        group: z.string().describe('What it is a sum of, in words'),
        meter: z.string(),
        unit: z.string(),
        quantity: z.string(),
        amount: nanoUsdText,
      }),
    ),
    amount: nanoUsdText.describe('Of all pages together'),
    nextCursor: z.string().nullable(),
  })
  .meta({ id: 'Usage' });

/** More hours or days than these in one question are refused. */
const BUCKETS_MAX = 2_500;
/** Sums in one CSV. */
export const CSV_ROWS_MAX = 200_000;

/** From when to when; the last 30 days where nothing is said. */
export function timeAsked(asked: Pick<UsageAsked, 'from' | 'to' | 'bucket'>, nowMs: number) {
  const { fromMs, toMs } = spanAsked(asked, nowMs);
  const buckets = Math.ceil((toMs - fromMs) / (asked.bucket === 'hour' ? HOUR : DAY));
  if (asked.bucket !== undefined && buckets > BUCKETS_MAX)
    throw new DomainError(
      'invalid',
      'range-too-long',
      `These are ${buckets} ${asked.bucket}s; ${BUCKETS_MAX} are most.`,
      {
        field: 'from',
        fix: asked.bucket === 'hour' ? 'Ask for a shorter time, or for days.' : 'Ask for a shorter time.',
      },
    );
  return { fromMs, toMs };
}

/** The dimension of the old form; null where the new form is asked for. Both at once are refused. */
export function dimensionAsked(asked: UsageAsked) {
  const many = (['bucket', 'groupBy', 'limit', 'cursor'] as const).filter((name) => asked[name] !== undefined);
  if (asked.by !== undefined && many.length > 0)
    throw new DomainError('invalid', 'by-and-group', `\`by\` does not go with \`${many.join('`, `')}\`.`, {
      field: 'by',
      fix: `Leave out \`by\` and say groupBy=${asked.by === 'hour' || asked.by === 'day' ? 'project' : asked.by}.`,
    });
  return asked.by ?? (many.length === 0 ? ('resource' as const) : null);
}

/** The filters, as the room takes them. */
export function filtersAsked(asked: UsageAsked): Pick<UsageQuery, 'only'> {
  const only = usageDimensions.flatMap((d) => (asked[d] === undefined ? [] : [[d, asked[d]] as const]));
  return { only: Object.fromEntries(only) };
}

/** A sum as the API shows it. */
export function showSum(sum: UsageSum, groupBy: readonly UsageDimension[], bucket: 'hour' | 'day' | null) {
  const at = sum.at === null ? null : timeText(sum.at);
  const fields = groupBy.flatMap((d, i) => (d === 'meter' ? [] : [[d, sum.group[i] ?? null] as const]));
  const words = [
    ...(at === null ? [] : [bucket === 'day' ? at.slice(0, 10) : `${at.slice(0, 19)}Z`]),
    ...fields.map(([d, value]) => value ?? (d === 'job' ? 'idle' : '-')),
  ];
  return {
    ...(at === null ? {} : { at }),
    ...(Object.fromEntries(fields) as Partial<z.infer<typeof groupFields>>),
    ...shownQuantity({ ...sum, group: words.join(' ') || sum.meter }),
  };
}

export function shownQuantity({ group, meter, unit, quantity, amountNano }: UsageTotal) {
  return { group, meter, unit, quantity: String(quantity), amount: String(amountNano) };
}

/** The sums as CSV: a column for each dimension, exact dollars. */
export function usageCsv(
  shown: readonly ReturnType<typeof showSum>[],
  groupBy: readonly UsageDimension[],
  bucket: 'hour' | 'day' | null,
): string {
  const fields = groupBy.filter((d) => d !== 'meter');
  const head = [...(bucket === null ? [] : [bucket]), ...fields, 'meter', 'quantity', 'unit', 'amount_usd_exact'];
  const rows = shown.map((row) => [
    ...(bucket === null ? [] : [row.at ?? '']),
    ...fields.map((d) => row[d] ?? ''),
    row.meter,
    row.quantity,
    row.unit,
    formatUsd(BigInt(row.amount)).replace(/[$,]/g, ''),
  ]);
  return csvText([head, ...rows]);
}

/** A day (UTC). */
export const usageDay = z.iso.date();

const compared = z.object({ raw: z.string().describe('What the records say'), kept: z.string() });
export const usageDifferenceSchema = z
  .object({
    keptIn: z.enum(['days', 'hours', 'job hours']),
    at: isoTime,
    organizationId: z.string(),
    projectId: z.string(),
    meter: z.string(),
    side: z.string(),
    resource: z.string(),
    providerId: z.string(),
    model: z.string(),
    jobId: z.string(),
    records: compared,
    quantity: compared,
    amount: compared,
  })
  .meta({ id: 'UsageDifference' });

export function showDifference(d: UsageDifference) {
  const { at, amountNano, ...rest } = d;
  const text = ({ raw, kept }: { raw: bigint; kept: bigint }) => ({ raw: String(raw), kept: String(kept) });
  const sums = { records: text(d.records), quantity: text(d.quantity), amount: text(amountNano) };
  return { ...rest, ...sums, at: timeText(at) };
}

export const explanationSchema = z
  .object({
    date: usageDay,
    hours: z.array(
      z.object({
        at: isoTime,
        amount: nanoUsdText,
        lines: z.array(
          z.object({
            projectId: z.string(),
            leaseId: z.string().nullable(),
            jobId: z.string().nullable(),
            meter: z.string(),
            resource: z.string(),
            model: z.string().nullable(),
            providerClass: z.string().nullable(),
            quantity: z.string(),
            unit: z.string(),
            unitPrice: nanoUsdText,
            amount: nanoUsdText,
            why: z.string(),
          }),
        ),
      }),
    ),
    amount: nanoUsdText.describe('What the day was charged'),
    notes: z.array(z.object({ leaseId: z.string(), credit: nanoUsdText, why: z.string() })),
    grants: z
      .array(z.object({ id: z.string(), reference: z.string(), amount: nanoUsdText, expiresAt: isoTime.nullable() }))
      .describe(
        'Promotional credit in force on that day, which pays first, as far as it lasted, in this order; with a key of the whole organization',
      ),
  })
  .meta({ id: 'UsageExplanation' });

export function showExplanation(date: string, day: ExplainedDay): z.input<typeof explanationSchema> {
  return {
    date,
    hours: day.hours.map(({ at, amountNano, lines }) => ({
      at: timeText(at),
      amount: String(amountNano),
      lines: lines.map(({ unitPriceNano, amountNano: amount, quantity, ...line }) => ({
        ...line,
        quantity: String(quantity),
        unitPrice: String(unitPriceNano),
        amount: String(amount),
      })),
    })),
    amount: String(day.chargedNano),
    notes: day.notes.map(({ leaseId, creditNano, why }) => ({ leaseId, credit: String(creditNano), why })),
    grants: day.grants.map(({ id, reference, amountNano, expiresAt }) => ({
      id,
      reference,
      amount: String(amountNano),
      expiresAt: expiresAt === null ? null : timeText(expiresAt),
    })),
  };
}
