import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { DomainError, notFound } from '#kernel';
import { idOf, isoTime, providerKinds } from '#contracts';
import { audit, authorOf } from '#identity/audit';
import { WORKER, type Store } from '#platform/database';
import { listings, providers, type ListingRow, type ProviderRow } from '#compute/providers';
import { route, type Call } from '../http/route.js';
import { Serve } from '../http/serve.js';
import { STORE } from '../tokens.js';
import { timeText } from './shapes.js';

const providerSchema = z
  .object({
    id: z.string(),
    organizationId: z.string(),
    name: z.string(),
    kind: z.enum(providerKinds),
    adapter: z.string().describe('`host`: machines registered through agents'),
    state: z.enum(['pending', 'active', 'paused', 'suspended']),
    marginBps: z.number().int(),
    listing: z
      .object({
        nextAt: isoTime.describe('Due then; while a worker reads, the moment at which it is given up'),
        running: z.boolean(),
        listedAt: isoTime.nullable().describe('The last list that was read to its end'),
        tookMs: z.number().int().nullable(),
        offers: z.number().int().nullable().describe('In the last whole list'),
        failures: z.number().int().describe('Tries since the last whole list'),
        doubted: z.number().int().describe('Lists in a row that lacked so much at once that they were not believed'),
        error: z.string().nullable(),
        errorAt: isoTime.nullable(),
      })
      .nullable()
      .describe(
        'How its offers are read; null for registered machines, which publish their own, and before the first list',
      ),
    createdAt: isoTime,
  })
  .meta({ id: 'ConnectedProvider' });

const tag = 'Administration';
const access = { roles: ['platform-admin'] } as const;

const listProviders = route({
  method: 'GET',
  path: '/v1/admin/providers',
  tag,
  name: 'listProviders',
  summary: 'List providers and how their offers are read',
  access,
  returns: providerSchema,
  page: true,
});

const listProviderOffers = route({
  method: 'POST',
  path: '/v1/admin/providers/{id}/list',
  tag,
  name: 'readProviderOffers',
  summary: 'Read a vendor’s offers as soon as possible',
  description: 'Does not wait for the vendor: `listing` of the provider tells how it went.',
  access,
  params: z.strictObject({ id: idOf('provider') }),
  returns: providerSchema,
});

@Controller()
export class ProvidersController {
  constructor(@Inject(STORE) private readonly store: Store) {}

  @Serve(listProviders)
  list({ page }: Call<typeof listProviders>) {
    return this.store.transaction(WORKER, async (tx) => {
      const rows = await tx.find(providers, {}, { orderBy: [['id', 'asc']], ...page.order });
      const read = rows.length === 0 ? [] : await tx.find(listings, { providerId: { in: rows.map((row) => row.id) } });
      const byProvider = new Map(read.map((row) => [row.providerId, row]));
      return page.answer(
        rows,
        (row) => [row.id],
        (row) => show(row, byProvider.get(row.id) ?? null),
      );
    });
  }

  @Serve(listProviderOffers)
  read(call: Call<typeof listProviderOffers>) {
    const { id } = call.params;
    return this.store.transaction(WORKER, async (tx) => {
      const provider = await tx.first(providers, { id });
      if (!provider) throw notFound('provider', id);
      if (provider.adapter === 'host')
        throw new DomainError('conflict', 'no-list', 'Registered machines publish their own offers.');
      // A list that is being read now is as new as one could be.
      const now = await tx.now();
      const [due] = await tx.update(listings, { providerId: id, claim: '', nextAt: { gt: now } }, { nextAt: now });
      if (due) await audit(tx, { by: authorOf(call), organizationId: null, action: 'provider.list', subject: id });
      return show(provider, await tx.first(listings, { providerId: id }));
    });
  }
}

function show(row: ProviderRow, listing: ListingRow | null) {
  const { settings: _, ...shown } = row;
  return { ...shown, createdAt: timeText(row.createdAt), listing: listing && showListing(listing) };
}

function showListing({ claim, startedAt: _, providerId: __, ...row }: ListingRow) {
  return {
    ...row,
    running: claim !== '',
    nextAt: timeText(row.nextAt),
    listedAt: timeText(row.listedAt),
    errorAt: timeText(row.errorAt),
  };
}
