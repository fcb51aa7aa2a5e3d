import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { isoTime, nanoUsdText } from '#contracts';
import { revenueBy, revenuePeriods } from '#money/margins';
import { WORKER, type Store } from '#platform/database';
import type { Ground } from '../../ground.js';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { GROUND } from '../../services.js';
import { STORE } from '../../tokens.js';
import { timeText } from '../shapes.js';
import { spanAsked } from './span.js';

const getRevenue = route({
  method: 'GET',
  path: '/v1/admin/revenue',
  tag: 'Administration',
  name: 'getRevenue',
  summary: 'Show revenue and cost by day or month, out of the ledger',
  description:
    'Between `from` (default: 30 days ago) and `to` (default: now), by when it was booked (UTC). The results add up to what the broker’s own accounts moved by between two trial balances.',
  access: { roles: ['platform-admin'] },
  query: z.strictObject({
    from: isoTime.optional(),
    to: isoTime.optional(),
    by: z.enum(revenuePeriods).default('day'),
  }),
  returns: z
    .object({
      from: isoTime,
      to: isoTime,
      rows: z.array(
        z.object({
          period: z.string().describe('`2026-11-21` or `2026-11`'),
          revenue: nanoUsdText.describe('Charged for use, less credit notes'),
          cost: nanoUsdText.describe('Owed to providers for it, with failed starts and accepted differences'),
          exposure: nanoUsdText.describe('Ran beyond tenants’ holds; the broker bears it'),
          slaCredits: nanoUsdText,
          margin: nanoUsdText.describe('Revenue less cost, exposure and SLA credits'),
          credits: nanoUsdText.describe('Given away, less what expired unspent'),
          fees: nanoUsdText.describe('Kept by payment processors'),
          losses: nanoUsdText.describe('Invoices given up and lost disputes'),
          rounding: nanoUsdText.describe('What whole cents brought'),
          result: nanoUsdText,
        }),
      ),
    })
    .meta({ id: 'Revenue' }),
});

@Controller()
export class RevenueController {
  constructor(
    @Inject(STORE) private readonly store: Store,
    @Inject(GROUND) private readonly ground: Ground,
  ) {}

  @Serve(getRevenue)
  async revenue({ query }: Call<typeof getRevenue>) {
    const { fromMs, toMs } = spanAsked(query, this.ground.clock.now());
    const rows = await this.store.transaction(WORKER, (tx) => revenueBy(tx, { fromMs, toMs, by: query.by }));
    return {
      from: timeText(fromMs),
      to: timeText(toMs),
      rows: rows.map((r) => ({
        period: r.period,
        revenue: String(r.revenueNano),
        cost: String(r.costNano),
        exposure: String(r.exposureNano),
        slaCredits: String(r.slaCreditsNano),
        margin: String(r.marginNano),
        credits: String(r.creditsNano),
        fees: String(r.feesNano),
        losses: String(r.lossesNano),
        rounding: String(r.roundingNano),
        result: String(r.resultNano),
      })),
    };
  }
}
