import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { notFound } from '#kernel';
import { idOf, isoTime, nanoUsdText } from '#contracts';
import { within, type Store } from '#platform/database';
import { endReasons, leases, leaseStates, type LeaseRow } from '#compute/leases';
import { route, type Call } from '../http/route.js';
import { Serve } from '../http/serve.js';
import { STORE } from '../tokens.js';
import { timeText } from './shapes.js';

const leaseSchema = z
  .object({
    id: idOf('lease'),
    projectId: z.string(),
    jobId: z.string().nullable(),
    placementId: z.string().nullable(),
    state: z.enum(leaseStates),
    endReason: z.enum(endReasons).nullable(),
    message: z.string().nullable(),
    providerId: z.string(),
    offerId: z.string(),
    sku: z.string(),
    region: z.string(),
    accelerator: z.string(),
    count: z.number(),
    pricePerHour: nanoUsdText,
    requestedAt: isoTime,
    acceptedAt: isoTime.nullable(),
    endedAt: isoTime.nullable(),
    chargedThrough: isoTime.nullable(),
  })
  .meta({ id: 'Lease' });

const tag = 'Leases';
const roles = ['member', 'admin'] as const;

const listLeases = route({
  method: 'GET',
  path: '/v1/leases',
  tag,
  name: 'listLeases',
  summary: 'List rented machines, newest first',
  access: { roles },
  query: z.strictObject({ state: z.enum(leaseStates).optional() }),
  returns: leaseSchema,
  page: true,
});

const getLease = route({
  method: 'GET',
  path: '/v1/leases/{id}',
  tag,
  name: 'getLease',
  summary: 'Show a rented machine',
  access: { roles },
  params: z.strictObject({ id: idOf('lease') }),
  returns: leaseSchema,
});

@Controller()
export class LeasesController {
  constructor(@Inject(STORE) private readonly store: Store) {}

  @Serve(listLeases)
  async list({ principal, query, page }: Call<typeof listLeases>) {
    const rows = await this.store.transaction(principal.actor, (tx) =>
      tx.find(
        leases,
        { ...within(principal.actor), ...(query.state === undefined ? {} : { state: query.state }) },
        { orderBy: [['id', 'desc']], ...page.order },
      ),
    );
    return page.answer(rows, (row) => [row.id], show);
  }

  @Serve(getLease)
  async get({ principal, params }: Call<typeof getLease>) {
    const row = await this.store.transaction(principal.actor, (tx) =>
      tx.first(leases, { id: params.id, ...within(principal.actor) }),
    );
    if (!row) throw notFound('lease', params.id);
    return show(row);
  }
}

function show(row: LeaseRow): z.infer<typeof leaseSchema> {
  const { offer } = row;
  return {
    id: row.id as z.infer<typeof leaseSchema>['id'],
    projectId: row.projectId,
    jobId: row.jobId,
    placementId: row.placementId,
    state: row.state,
    endReason: row.endReason,
    message: row.message,
    providerId: row.providerId,
    offerId: row.offerId,
    sku: offer.sku,
    region: offer.region,
    accelerator: offer.accelerator,
    count: offer.count,
    pricePerHour: String(row.chargePerHour),
    requestedAt: timeText(row.requestedAt),
    acceptedAt: timeText(row.acceptedAt),
    endedAt: timeText(row.endedAt),
    chargedThrough: timeText(row.chargedThrough),
  };
}
