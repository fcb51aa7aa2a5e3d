import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { idOf, isoTime } from '#contracts';
import { readAudit, type AuditRow } from '#identity/audit';
import type { Store } from '#platform/database';
import { route, type Call } from '../http/route.js';
import { Serve } from '../http/serve.js';
import { STORE } from '../tokens.js';
import { nameText, timeText } from './shapes.js';

const auditSchema = z
  .object({
    id: z.string(),
    at: isoTime,
    actorKeyId: z.string().nullable().describe('Null: the broker itself, by a rule or a date'),
    actorOrganizationId: z.string().nullable(),
    organizationId: z.string().nullable().describe('Whom it concerns'),
    action: z.string().describe('`<noun>.<verb>`'),
    subject: z.string().describe('The id of what was acted on'),
    before: z.unknown(),
    after: z.unknown(),
    requestId: z.string().nullable(),
    actorAddress: z.string().nullable().describe('Where the request came from'),
  })
  .meta({ id: 'AuditEntry' });

const listAudit = route({
  method: 'GET',
  path: '/v1/admin/audit',
  tag: 'Administration',
  name: 'listAudit',
  summary: 'List what administrators and the broker’s rules did, newest first',
  description:
    'Each entry was written in the transaction that did it. `from` and `to` bound the time: from `from` on, before `to`.',
  access: { roles: ['platform-admin'] },
  query: z.strictObject({
    organizationId: idOf('organization').optional(),
    actorKeyId: idOf('key').optional(),
    action: nameText.optional(),
    subject: nameText.optional(),
    from: isoTime.optional(),
    to: isoTime.optional(),
  }),
  returns: auditSchema,
  page: true,
});

@Controller()
export class AuditController {
  constructor(@Inject(STORE) private readonly store: Store) {}

  @Serve(listAudit)
  async list({ principal, query, page }: Call<typeof listAudit>) {
    const { from, to, organizationId, actorKeyId, action, subject } = query;
    const filter = {
      ...(organizationId === undefined ? {} : { organizationId }),
      ...(actorKeyId === undefined ? {} : { actorKeyId }),
      ...(action === undefined ? {} : { action }),
      ...(subject === undefined ? {} : { subject }),
      ...(from === undefined ? {} : { fromMs: Date.parse(from) }),
      ...(to === undefined ? {} : { toMs: Date.parse(to) }),
    };
    return page.answer(await readAudit(this.store, principal, filter, page.order), (row) => [row.id], showAudit);
  }
}

function showAudit(row: AuditRow) {
  return { ...row, at: timeText(row.at) };
}
