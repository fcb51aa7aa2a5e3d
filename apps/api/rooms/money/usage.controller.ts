import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { DomainError } from '#kernel';
import { idOf } from '#contracts';
import { WORKER, type Store, type Tx } from '#platform/database';
import { audit, authorOf } from '#identity/audit';
import {
  placeOf,
  rebuildUsage,
  usageBy,
  usageDifferences,
  usageSums,
  wholeDays,
  type UsageDimension,
  type UsageGroup,
} from '#money/metering';
import { explainDay } from '#compute/leases';
import type { Ground } from '../../ground.js';
import { asksCsv, CsvAnswer } from '../../http/lists/csv.js';
import { Cursors, digestOf } from '../../http/lists/cursor.js';
import { DEFAULT_PAGE, PageCall } from '../../http/lists/page.js';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { GROUND } from '../../services.js';
import { STORE } from '../../tokens.js';
import { timeText } from '../shapes.js';
import {
  CSV_ROWS_MAX,
  dimensionAsked,
  filtersAsked,
  shownQuantity,
  showSum,
  timeAsked,
  usageCsv,
  explanationSchema,
  showDifference,
  showExplanation,
  usageDay,
  usageDifferenceSchema,
  usageQuery,
  usageSchema,
} from './usage-shapes.js';

const getUsage = route({
  method: 'GET',
  path: '/v1/usage',
  tag: 'Money',
  name: 'getUsage',
  summary: 'Sum up usage',
  description:
    'What was used and what it cost between `from` (default: 30 days ago) and `to` (default: now); with a member key, in its project. ' +
    'Either by one dimension (`by`), or for each hour or day (`bucket`) and each combination of `groupBy`, page by page; `project`, `model` and the ' +
    'others keep to these. Time is in milliseconds. CSV: `Accept: text/csv`, or `format=csv`.',
  access: { roles: ['member', 'admin'] },
  query: usageQuery,
  returns: usageSchema,
  csv: true,
});

const explainUsage = route({
  method: 'GET',
  path: '/v1/usage/explain',
  tag: 'Money',
  name: 'explainUsage',
  summary: 'Explain a day hour by hour',
  description:
    'What ran in each hour of a day (UTC), at what price and why; the lines add up to exactly what the day was charged. ' +
    'Time of the evening before that was metered after midnight is shown in its hours. Credits for lost machines are `notes`.',
  access: { roles: ['member', 'admin'] },
  query: z.strictObject({ date: usageDay }),
  returns: explanationSchema,
});

const admins = { roles: ['platform-admin'] } as const;

const getAllUsage = route({
  method: 'GET',
  path: '/v1/admin/usage',
  tag: 'Administration',
  name: 'getAllUsage',
  summary: 'Sum up usage of all organizations, or of one',
  description: 'As `GET /v1/usage`. `side` is what tenants are charged, or what providers are owed (`cost`).',
  access: admins,
  query: usageQuery.extend({
    organizationId: idOf('organization').optional(),
    side: z.enum(['charge', 'cost']).default('charge'),
  }),
  returns: usageSchema,
  csv: true,
});

const checkUsage = route({
  method: 'GET',
  path: '/v1/admin/usage/check',
  tag: 'Administration',
  name: 'checkUsage',
  summary: 'Compare sums of usage with the records',
  description: 'Whole days (UTC), both ends within; at most 1,000 differences are listed.',
  access: admins,
  query: z.strictObject({ from: usageDay, to: usageDay }),
  returns: z
    .object({ from: usageDay, to: usageDay, differences: z.array(usageDifferenceSchema) })
    .meta({ id: 'UsageCheck' }),
});

const rebuildUsageDays = route({
  method: 'POST',
  path: '/v1/admin/usage/rebuild',
  tag: 'Administration',
  name: 'rebuildUsage',
  summary: 'Make the sums of usage of whole days anew from the records',
  access: admins,
  body: z.strictObject({ from: usageDay, to: usageDay }).meta({ id: 'UsageDays' }),
  returns: z
    .object({
      hours: z.int().describe('Sums of hours'),
      days: z.int().describe('Sums of days'),
      records: z.int().describe('Records in them'),
    })
    .meta({ id: 'UsageRebuilt' }),
});

/** Whose usage a question is about, and which side of it. */
interface Whose {
  readonly organizationId: string | null;
  readonly projectIds: readonly string[] | 'all';
  readonly side: 'charge' | 'cost';
}

@Controller()
export class UsageController {
  constructor(
    @Inject(STORE) private readonly store: Store,
    @Inject(GROUND) private readonly ground: Ground,
    @Inject(Cursors) private readonly cursors: Cursors,
  ) {}

  @Serve(getUsage)
  async usage(call: Call<typeof getUsage>) {
    const { organizationId, projectIds, actor } = call.principal;
    return this.store.transaction(actor, (tx) => this.answer(tx, call, { organizationId, projectIds, side: 'charge' }));
  }

  @Serve(explainUsage)
  async explain({ principal, query }: Call<typeof explainUsage>) {
    const { organizationId, projectIds } = principal;
    const { fromMs } = wholeDays(query.date, query.date);
    const day = await this.store.transaction(principal.actor, (tx) =>
      explainDay(tx, { as: 'tenant', organizationId, projectIds }, fromMs),
    );
    return showExplanation(query.date, day);
  }

  @Serve(getAllUsage)
  async allUsage({ query: { organizationId, side, ...query }, request }: Call<typeof getAllUsage>) {
    const whose = { organizationId: organizationId ?? null, projectIds: 'all', side } as const;
    return this.store.transaction(WORKER, (tx) => this.answer(tx, { query, request }, whose));
  }

  @Serve(checkUsage)
  async check({ query }: Call<typeof checkUsage>) {
    const days = wholeDays(query.from, query.to);
    const differences = await this.store.transaction(WORKER, (tx) => usageDifferences(tx, days));
    return { ...query, differences: differences.map(showDifference) };
  }

  @Serve(rebuildUsageDays)
  async rebuild(call: Call<typeof rebuildUsageDays>) {
    const days = wholeDays(call.body.from, call.body.to);
    return this.store.transaction(WORKER, async (tx) => {
      const rebuilt = await rebuildUsage(tx, days);
      const after = { ...call.body, ...rebuilt };
      await audit(tx, { by: authorOf(call), organizationId: null, action: 'usage.rebuild', subject: 'usage', after });
      return rebuilt;
    });
  }

  private async answer(tx: Tx, call: Pick<Call<typeof getUsage>, 'query' | 'request'>, whose: Whose) {
    const { query, request } = call;
    const time = timeAsked(query, this.ground.clock.now());
    const asked = { ...whose, ...time, ...filtersAsked(query) };
    const by = dimensionAsked(query);
    const bucket = query.bucket ?? (by === 'hour' || by === 'day' ? by : null);
    const groupBy = query.groupBy ?? (by === null || by === 'hour' || by === 'day' ? [] : [by]);
    const all = { ...asked, bucket, groupBy };
    const head = { from: timeText(time.fromMs), to: timeText(time.toMs), by, bucket: query.bucket ?? null };
    if (query.format === 'csv' || (query.format === undefined && asksCsv(request.headers.accept))) {
      const { rows } = await usageSums(tx, { ...all, limit: CSV_ROWS_MAX + 1 });
      if (rows.length > CSV_ROWS_MAX)
        throw new DomainError('too-large', 'csv-too-long', `These are more than ${CSV_ROWS_MAX} sums.`, {
          fix: 'Ask for a shorter time, or for fewer dimensions.',
        });
      const shown = rows.map((sum) => showSum(sum, groupBy, bucket));
      return new CsvAnswer(
        usageCsv(shown, groupBy, bucket),
        `usage-${head.from.slice(0, 10)}-${head.to.slice(0, 10)}.csv`,
      );
    }
    if (by !== null) return this.byOne(tx, asked, by, head);
    const page = this.pageOf(whose, query);
    const { rows, amountNano } = await usageSums(tx, { ...all, ...placeAsked(page) });
    const { items, nextCursor } = page.answer(rows, placeOf, (sum) => showSum(sum, groupBy, bucket));
    return { ...head, groupBy: [...groupBy], totals: items, amount: String(amountNano), nextCursor };
  }

  private async byOne(
    tx: Tx,
    asked: Whose & { fromMs: number; toMs: number },
    by: UsageGroup,
    head: { from: string; to: string; by: UsageGroup | null; bucket: null | 'hour' | 'day' },
  ) {
    const totals = await usageBy(tx, { ...asked, by });
    const amount = String(totals.reduce((a, t) => a + t.amountNano, 0n));
    const groupBy: UsageDimension[] = [];
    return { ...head, groupBy, totals: totals.map(shownQuantity), amount, nextCursor: null };
  }

  /** The list is the question: a cursor of another one is refused. */
  private pageOf(whose: Whose, { limit, cursor, ...question }: Call<typeof getUsage>['query']): PageCall {
    return new PageCall(this.cursors, digestOf(['usage', { ...whose }, question]), limit ?? DEFAULT_PAGE, cursor);
  }
}

/** Places in this list are texts and numbers only. */
function placeAsked({ order: { limit, after } }: PageCall): { limit: number; after?: (string | number)[] } {
  return after === undefined ? { limit } : { limit, after: after.map((v) => (typeof v === 'bigint' ? Number(v) : v)) };
}
