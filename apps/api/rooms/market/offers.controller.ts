import { Controller } from '@nestjs/common';
import { z } from 'zod';
import { notFound } from '#kernel';
import {
  acceleratorName,
  isoTime,
  nanoUsdText,
  offerView,
  priceEventView,
  pricingModels,
  toOfferView,
} from '#contracts';
import { WORKER, type Store } from '#platform/database';
import { Catalog, historyOf, toOffer, type PriceEventRow } from '#market/catalog';
import { Inject } from '@nestjs/common';
import { route, type Call } from '../../http/route.js';
import { queryInt, queryNumber } from '../../http/query-types.js';
import { Serve } from '../../http/serve.js';
import { STORE } from '../../tokens.js';

const listOffers = route({
  method: 'GET',
  path: '/v1/offers',
  tag: 'Market',
  name: 'listOffers',
  summary: 'List offers',
  description:
    'All that Berth knows of the market, cheapest first. `listed` offers are for comparison; `rentable` ones can be leased. `gpu=H100` finds every form of it.',
  access: { roles: ['member', 'admin', 'provider-operator', 'platform-admin'] },
  query: z.strictObject({
    gpu: acceleratorName.optional(),
    count: queryNumber(0, 1_024).optional(),
    minVramGiB: queryInt(1, 2_000).optional(),
    region: z.string().min(1).max(60).optional(),
    country: z
      .string()
      .regex(/^[A-Za-z]{2}$/, 'must be an ISO 3166 code such as FI')
      .transform((code) => code.toUpperCase())
      .optional(),
    provider: z.string().min(1).max(60).optional(),
    pricing: z.enum(pricingModels).optional(),
    maxPricePerHour: nanoUsdText.optional(),
    status: z.enum(['listed', 'rentable']).optional(),
    sort: z.enum(['price', 'gpu-price']).default('price'),
  }),
  returns: offerView,
  page: true,
});

const listOfferHistory = route({
  method: 'GET',
  path: '/v1/offers/{id}/history',
  tag: 'Market',
  name: 'listOfferHistory',
  summary: 'List what an offer cost',
  description:
    'Newest first: one item for each change of its price or of whether it could be had, also of an offer that is gone. Ids of offers contain slashes and colons: encode them (`%2F`, `%3A`).',
  access: { roles: ['member', 'admin', 'provider-operator', 'platform-admin'] },
  params: z.strictObject({ id: z.string().min(1).max(400) }),
  query: z.strictObject({
    from: isoTime.optional().meta({ description: 'Changes at or after this time' }),
    to: isoTime.optional().meta({ description: 'Changes before this time' }),
  }),
  returns: priceEventView,
  page: true,
});

@Controller()
export class OffersController {
  constructor(
    private readonly catalog: Catalog,
    @Inject(STORE) private readonly store: Store,
  ) {}

  @Serve(listOffers)
  async list({ query, page }: Call<typeof listOffers>) {
    const { sort, maxPricePerHour, ...filter } = query;
    const given = Object.fromEntries(Object.entries(filter).filter(([, v]) => v !== undefined));
    const { limit, after } = page.order;
    const rows = await this.store.transaction(WORKER, (tx) =>
      this.catalog.list(
        tx,
        { ...given, ...(maxPricePerHour === undefined ? {} : { maxPricePerHour: BigInt(maxPricePerHour) }) },
        sort,
        {
          limit,
          ...(after ? { after: [BigInt(String(after[0])), String(after[1])] as const } : {}),
        },
      ),
    );
    return page.answer(
      rows,
      (row) => [String(sort === 'price' ? row.pricePerHour : (row.pricePerGpuHour ?? 0n)), row.id],
      (row) => toOfferView(toOffer(row)),
    );
  }

  @Serve(listOfferHistory)
  async history({ params, query, page }: Call<typeof listOfferHistory>) {
    const filter = {
      ...(query.from === undefined ? {} : { fromMs: Date.parse(query.from) }),
      ...(query.to === undefined ? {} : { toMs: Date.parse(query.to) }),
    };
    const rows = await this.store.transaction(WORKER, (tx) => historyOf(tx, params.id, filter, page.order));
    if (!rows) throw notFound('offer', params.id);
    return page.answer(
      rows,
      (row) => [row.at],
      ({ at, kind, pricePerHour, stock, available, source, why }: PriceEventRow) => ({
        at: new Date(at).toISOString(),
        kind,
        pricePerHour: pricePerHour.toString(),
        stock,
        available,
        source,
        why,
      }),
    );
  }
}
