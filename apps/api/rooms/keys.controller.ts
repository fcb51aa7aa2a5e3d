import { Controller } from '@nestjs/common';
import { z } from 'zod';
import { idOf, isoTime } from '#contracts';
import { audit, authorOf } from '#identity/audit';
import { ROLES, Tenancy, type ApiKeyRow, type IssuedKey } from '#identity/tenancy';
import { route, type Call } from '../http/route.js';
import { Serve } from '../http/serve.js';
import { nameText, timeText } from './shapes.js';

export const keySchema = z
  .object({
    id: z.string(),
    organizationId: z.string(),
    projectId: z.string().nullable().describe('Null: the whole organization'),
    name: z.string(),
    role: z.enum(ROLES),
    prefix: z.string().describe('The beginning of the secret, to tell keys apart'),
    createdAt: isoTime,
    expiresAt: isoTime.nullable(),
    revokedAt: isoTime.nullable(),
    lastUsedAt: isoTime.nullable().describe('To the minute'),
  })
  .meta({ id: 'ApiKey' });

export const issuedKeySchema = keySchema
  .extend({ secret: z.string().describe('Shown once; store it now') })
  .meta({ id: 'IssuedApiKey' });

const tag = 'API keys';
/** Who may manage keys: each only those of the own organization. */
const access = { roles: ['admin', 'provider-operator', 'platform-admin'] } as const;

const createKey = route({
  method: 'POST',
  path: '/v1/keys',
  tag,
  name: 'createKey',
  summary: 'Issue an API key',
  description: 'The answer holds the secret, which is never shown again.',
  access,
  body: z
    .strictObject({
      name: nameText,
      role: z.enum(ROLES).default('member'),
      projectId: idOf('project').optional().describe('The one project of a member key'),
      expiresAt: isoTime.optional(),
      organizationId: idOf('organization')
        .optional()
        .describe('For platform administrators; everybody else has only the own organization'),
    })
    .meta({ id: 'NewApiKey' }),
  returns: issuedKeySchema,
  creates: true,
});

const listKeys = route({
  method: 'GET',
  path: '/v1/keys',
  tag,
  name: 'listKeys',
  summary: 'List API keys',
  access,
  returns: keySchema,
  page: true,
});

const revokeKey = route({
  method: 'DELETE',
  path: '/v1/keys/{id}',
  tag,
  name: 'revokeKey',
  summary: 'Revoke an API key',
  description: 'It is refused everywhere within a second. The row stays, with the time.',
  access,
  params: z.strictObject({ id: idOf('key') }),
  returns: keySchema,
});

@Controller()
export class KeysController {
  constructor(private readonly tenancy: Tenancy) {}

  @Serve(createKey)
  async create(call: Call<typeof createKey>) {
    const { principal, body, remember } = call;
    const { name, role, projectId, expiresAt, organizationId } = body;
    const issued = await this.tenancy.createKey(
      principal,
      {
        name,
        role,
        ...(projectId === undefined ? {} : { projectId }),
        ...(expiresAt === undefined ? {} : { expiresAt: Date.parse(expiresAt) }),
        ...(organizationId === undefined ? {} : { organizationId }),
      },
      async (tx, issued) => {
        await audit(tx, { ...actOn(call, issued.key), action: 'key.create', after: showKey(issued.key) });
        await remember(tx, showIssued(issued));
      },
    );
    return showIssued(issued);
  }

  @Serve(listKeys)
  async list({ principal, page }: Call<typeof listKeys>) {
    return page.answer(await this.tenancy.listKeys(principal, page.order), (row) => [row.id], showKey);
  }

  @Serve(revokeKey)
  async revoke(call: Call<typeof revokeKey>) {
    const revoked = await this.tenancy.revokeKey(call.principal, call.params.id, (tx, key) =>
      audit(tx, {
        ...actOn(call, key),
        action: 'key.revoke',
        before: showKey({ ...key, revokedAt: null }),
        after: showKey(key),
      }),
    );
    return showKey(revoked);
  }
}

function actOn(call: Parameters<typeof authorOf>[0], key: ApiKeyRow) {
  return { by: authorOf(call), organizationId: key.organizationId, subject: key.id };
}

export function showKey({ hash: _hash, ...row }: ApiKeyRow) {
  return {
    ...row,
    createdAt: timeText(row.createdAt),
    expiresAt: timeText(row.expiresAt),
    revokedAt: timeText(row.revokedAt),
    lastUsedAt: timeText(row.lastUsedAt),
  };
}

export function showIssued({ key, secret }: IssuedKey) {
  return { ...showKey(key), secret };
}
