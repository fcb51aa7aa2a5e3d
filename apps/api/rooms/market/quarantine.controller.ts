import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { notFound } from '#kernel';
import { isoTime } from '#contracts';
import { authorOf } from '#identity/audit';
import { WORKER, type Store } from '#platform/database';
import { quarantine, release, type QuarantinedRow } from '#market/catalog';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { STORE } from '../../tokens.js';
import { nameText, timeText } from '../shapes.js';

const quarantinedSchema = z
  .object({
    id: z.string().describe('Of the offer'),
    providerId: z.string(),
    accelerator: z.string(),
    pricing: z.string().describe('As its provider says: it may be the very thing that makes no sense'),
    region: z.string(),
    pricePerHour: z.string().describe('Nano-dollars per hour, whole machine, as its provider says'),
    source: z.string(),
    reason: z.string(),
    firstAt: isoTime,
    lastAt: isoTime.describe('The last list that said so'),
  })
  .meta({ id: 'QuarantinedOffer' });

const tag = 'Administration';
const access = { roles: ['platform-admin'] } as const;

const listQuarantine = route({
  method: 'GET',
  path: '/v1/admin/quarantine',
  tag,
  name: 'listQuarantine',
  summary: 'List offers that are kept aside because they cannot be true',
  description:
    'They are not in the catalog and never chosen. One that is plausible in a later list comes back by itself.',
  access,
  returns: quarantinedSchema,
  page: true,
});

const releaseOffer = route({
  method: 'POST',
  path: '/v1/admin/quarantine/release',
  tag,
  name: 'releaseOffer',
  summary: 'Believe an offer that was kept aside',
  description:
    'For as long as it costs what it costs now; it comes into the catalog with its provider’s next list. A price of zero or less is never believed.',
  access,
  body: z.strictObject({ id: z.string().min(1).max(400), reason: nameText }).meta({ id: 'OfferRelease' }),
  returns: quarantinedSchema,
});

@Controller()
export class QuarantineController {
  constructor(@Inject(STORE) private readonly store: Store) {}

  @Serve(listQuarantine)
  async list({ page }: Call<typeof listQuarantine>) {
    const rows = await this.store.transaction(WORKER, (tx) => quarantine(tx, page.order));
    return page.answer(rows, (row) => [row.id], show);
  }

  @Serve(releaseOffer)
  async release(call: Call<typeof releaseOffer>) {
    const { id, reason } = call.body;
    const row = await this.store.transaction(WORKER, (tx) => release(tx, authorOf(call), id, reason));
    if (!row) throw notFound('quarantined offer', id);
    return show(row);
  }
}

function show({ allowedPrice: _, ...row }: QuarantinedRow) {
  return {
    ...row,
    pricePerHour: row.pricePerHour.toString(),
    firstAt: timeText(row.firstAt),
    lastAt: timeText(row.lastAt),
  };
}
