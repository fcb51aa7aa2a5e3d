import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { DomainError, notFound } from '#kernel';
import { idOf, isoTime, nanoUsdText } from '#contracts';
import { WORKER, type Store, type Tx } from '#platform/database';
import { audit, authorOf } from '#identity/audit';
import { apiKeys, organizations, projects } from '#identity/tenancy';
import { Ledger } from '#money/ledger';
import {
  begun,
  cohorts,
  Credit,
  grantStates,
  quotaModes,
  quotaPolicies,
  Quotas,
  quotas,
  quotaScopes,
  quotaWindows,
  type GrantRow,
  type QuotaRow,
} from '#money/quotas';
import { Leases } from '#compute/leases';
import type { Ground } from '../../ground.js';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { GROUND } from '../../services.js';
import { STORE } from '../../tokens.js';
import { nameText, timeText } from '../shapes.js';

const amountText = z.string().regex(/^\d{1,36}$/, 'must be a whole number of 0 or more');

const quotaSchema = z
  .object({
    id: z.string(),
    organizationId: z.string(),
    scope: z.enum(quotaScopes),
    scopeId: z.string(),
    dimension: z.string(),
    per: z.enum(quotaWindows),
    limit: z.string().describe('A count; nano-dollars for spend'),
    used: z.string(),
    mode: z.enum(quotaModes),
    policy: z.enum(quotaPolicies),
    cohort: z.string().nullable(),
    borrowingLimit: z.string().nullable(),
    lendingLimit: z.string().nullable(),
  })
  .meta({ id: 'Quota' });

const listQuotas = route({
  method: 'GET',
  path: '/v1/quotas',
  tag: 'Money',
  name: 'listQuotas',
  summary: 'List limits and what is in use',
  description: 'Those of the organization, and of the projects and keys that the caller may see.',
  access: { roles: ['member', 'admin'] },
  returns: z.object({ items: z.array(quotaSchema) }).meta({ id: 'QuotaList' }),
});

const listOrganizationQuotas = route({
  method: 'GET',
  path: '/v1/admin/quotas',
  tag: 'Administration',
  name: 'listOrganizationQuotas',
  summary: 'List the limits of an organization',
  access: { roles: ['platform-admin'] },
  query: z.strictObject({ organizationId: idOf('organization') }),
  returns: z.object({ items: z.array(quotaSchema) }).meta({ id: 'OrganizationQuotaList' }),
});

const setQuota = route({
  method: 'PUT',
  path: '/v1/admin/quotas',
  tag: 'Administration',
  name: 'setQuota',
  summary: 'Set a limit',
  description:
    'There is one limit for each scope, dimension and window. It may be below what is in use: nothing new is let in then, and its policy says whether running leases stay or the newest are stopped.',
  access: { roles: ['platform-admin'] },
  body: z
    .strictObject({
      scope: z.enum(quotaScopes),
      scopeId: z.string().max(60).describe('The id of the organization, project or key'),
      dimension: z
        .string()
        .max(80)
        .describe('gpus, gpus:NAME, leases, jobs-queued, storage-bytes, spend, requests, tokens'),
      per: z.enum(quotaWindows).default('ever'),
      limit: amountText.describe('A count; nano-dollars for spend'),
      mode: z.enum(quotaModes).default('hard'),
      policy: z.enum(quotaPolicies).default('keep'),
      cohort: nameText.optional().describe('Quotas on GPUs in one cohort lend each other what they do not use'),
      borrowingLimit: amountText.optional(),
      lendingLimit: amountText.optional(),
    })
    .meta({ id: 'NewQuota' }),
  returns: z.object({ quota: quotaSchema, stopped: z.array(z.string()) }).meta({ id: 'SetQuota' }),
});

const removeQuota = route({
  method: 'DELETE',
  path: '/v1/admin/quotas/{id}',
  tag: 'Administration',
  name: 'removeQuota',
  summary: 'Remove a limit',
  access: { roles: ['platform-admin'] },
  params: z.strictObject({ id: idOf('quota') }),
  returns: quotaSchema,
});

const organizationParams = z.strictObject({ id: idOf('organization') });

const setCreditLimit = route({
  method: 'PUT',
  path: '/v1/admin/organizations/{id}/credit',
  tag: 'Administration',
  name: 'setCreditLimit',
  summary: 'Let a tenant pay afterwards, up to a limit',
  description: 'The available credit may go as far below zero. Below what is owed already, the debt may only shrink.',
  access: { roles: ['platform-admin'] },
  params: organizationParams,
  body: z.strictObject({ limit: nanoUsdText }).meta({ id: 'CreditLimit' }),
  returns: z
    .object({ organizationId: z.string(), limit: nanoUsdText, available: nanoUsdText, held: nanoUsdText })
    .meta({ id: 'LimitedCredit' }),
});

const grantSchema = z
  .object({
    id: z.string(),
    organizationId: z.string(),
    reference: z.string(),
    amount: nanoUsdText,
    spent: nanoUsdText,
    returned: nanoUsdText,
    priority: z.int(),
    expiresAt: isoTime.nullable(),
    state: z.enum(grantStates),
    createdAt: isoTime,
  })
  .meta({ id: 'Grant' });

const giveGrant = route({
  method: 'POST',
  path: '/v1/admin/organizations/{id}/grants',
  tag: 'Administration',
  name: 'giveGrant',
  summary: 'Give promotional credit',
  description:
    'Spent before everything else: lower priorities first, then what expires soonest. What is left at its expiry goes back. The same `reference` counts once, and is refused (409) for another amount.',
  access: { roles: ['platform-admin'] },
  params: organizationParams,
  body: z
    .strictObject({
      amountNano: nanoUsdText,
      reference: nameText,
      priority: z.int().min(-1_000).max(1_000).default(0),
      expiresAt: isoTime.optional(),
    })
    .meta({ id: 'NewGrant' }),
  returns: grantSchema,
});

const listGrants = route({
  method: 'GET',
  path: '/v1/admin/organizations/{id}/grants',
  tag: 'Administration',
  name: 'listGrants',
  summary: 'List promotional credit, newest first',
  access: { roles: ['platform-admin'] },
  params: organizationParams,
  returns: z.object({ items: z.array(grantSchema) }).meta({ id: 'GrantList' }),
});

@Controller()
export class QuotasController {
  constructor(
    private readonly quotasOf: Quotas,
    private readonly credit: Credit,
    private readonly ledger: Ledger,
    private readonly leases: Leases,
    @Inject(STORE) private readonly store: Store,
    @Inject(GROUND) private readonly ground: Ground,
  ) {}

  @Serve(listQuotas)
  async list({ principal }: Call<typeof listQuotas>) {
    const { actor, organizationId, projectIds, keyId } = principal;
    const rows = await this.store.transaction(actor, (tx) =>
      this.quotasOf.list(tx, organizationId, projectIds === 'all' ? undefined : [organizationId, ...projectIds, keyId]),
    );
    return { items: await this.show(rows) };
  }

  @Serve(listOrganizationQuotas)
  async listOf({ query }: Call<typeof listOrganizationQuotas>) {
    const rows = await this.store.transaction(WORKER, async (tx) => {
      await tenantOf(tx, query.organizationId);
      return this.quotasOf.list(tx, query.organizationId);
    });
    return { items: await this.show(rows) };
  }

  @Serve(setQuota)
  async set(call: Call<typeof setQuota>) {
    const { scope, scopeId, dimension, per, limit, mode, policy, cohort, borrowingLimit, lendingLimit } = call.body;
    const { quota, stopped } = await this.store.transaction(WORKER, async (tx) => {
      const of = await scopeOf(tx, scope, scopeId);
      const before = await tx.first(quotas, { scopeId, dimension, per });
      const { quota, stopNewest } = await this.quotasOf.set(tx, {
        ...of,
        scope,
        scopeId,
        dimension,
        per,
        limitN: BigInt(limit),
        mode,
        policy,
        cohort: cohort ?? null,
        borrowingLimit: borrowingLimit === undefined ? null : BigInt(borrowingLimit),
        lendingLimit: lendingLimit === undefined ? null : BigInt(lendingLimit),
      });
      const stopped: string[] = [];
      for (const id of stopNewest)
        if (await this.leases.stop(tx, id, `the quota of ${dimension} was lowered`)) stopped.push(id);
      await audit(tx, {
        by: authorOf(call),
        organizationId: of.organizationId,
        action: 'quota.set',
        subject: quota.id,
        before: before && limitsOf(before),
        after: { ...limitsOf(quota), ...(stopped.length > 0 ? { stopped } : {}) },
      });
      return { quota, stopped };
    });
    const [shown] = await this.show([quota]);
    if (!shown) throw new Error('one quota is shown as one');
    return { quota: shown, stopped };
  }

  @Serve(removeQuota)
  async remove(call: Call<typeof removeQuota>) {
    const removed = await this.store.transaction(WORKER, async (tx) => {
      const row = await this.quotasOf.remove(tx, call.params.id);
      const { organizationId } = row;
      const what = { action: 'quota.remove', subject: row.id, before: limitsOf(row) };
      await audit(tx, { by: authorOf(call), organizationId, ...what });
      return row;
    });
    const [shown] = await this.show([removed]);
    if (!shown) throw new Error('one quota is shown as one');
    return shown;
  }

  @Serve(setCreditLimit)
  async limit(call: Call<typeof setCreditLimit>) {
    const organizationId = call.params.id;
    const after = BigInt(call.body.limit);
    const row = await this.store.transaction(WORKER, async (tx) => {
      await tenantOf(tx, organizationId);
      const before = await this.credit.setLimit(tx, organizationId, after);
      await audit(tx, {
        by: authorOf(call),
        organizationId,
        action: 'credit.limit',
        subject: organizationId,
        before: { limit: before },
        after: { limit: after },
      });
      return this.ledger.creditOf(tx, organizationId);
    });
    return {
      organizationId,
      limit: String(row.creditLimitNano),
      available: String(row.availableNano),
      held: String(row.heldNano),
    };
  }

  @Serve(giveGrant)
  async grant(call: Call<typeof giveGrant>) {
    const { amountNano, reference, priority, expiresAt } = call.body;
    const organizationId = call.params.id;
    const row = await this.store.transaction(WORKER, async (tx) => {
      await tenantOf(tx, organizationId);
      const grant = await this.credit.grant(tx, {
        organizationId,
        amountNano: BigInt(amountNano),
        reference,
        priority,
        expiresAt: expiresAt === undefined ? null : Date.parse(expiresAt),
      });
      const after = { amount: grant.amountNano, reference, priority, expiresAt: timeText(grant.expiresAt) };
      await audit(tx, { by: authorOf(call), organizationId, action: 'grant.give', subject: grant.id, after });
      return grant;
    });
    return showGrant(row);
  }

  @Serve(listGrants)
  async grants({ params }: Call<typeof listGrants>) {
    const rows = await this.store.transaction(WORKER, async (tx) => {
      await tenantOf(tx, params.id);
      return this.credit.list(tx, params.id);
    });
    return { items: rows.map(showGrant) };
  }

  private async show(rows: readonly QuotaRow[]) {
    const ids = rows.flatMap((r) => (r.cohortId === null ? [] : [r.cohortId]));
    const named =
      ids.length === 0 ? [] : await this.store.transaction(WORKER, (tx) => tx.find(cohorts, { id: { in: ids } }));
    const names = new Map(named.map((c) => [c.id, c.name]));
    const now = this.ground.clock.now();
    const text = (n: bigint | null): string | null => (n === null ? null : String(n));
    return rows.map((r) => ({
      id: r.id,
      organizationId: r.organizationId,
      scope: r.scope,
      scopeId: r.scopeId,
      dimension: r.dimension,
      per: r.per,
      limit: String(r.limitN),
      // A counter is of the window in which it was last raised; a later one begins with what is owed.
      used: String(begun(r, now).used),
      mode: r.mode,
      policy: r.policy,
      cohort: names.get(r.cohortId ?? '') ?? null,
      borrowingLimit: text(r.borrowingLimit),
      lendingLimit: text(r.lendingLimit),
    }));
  }
}

async function tenantOf(tx: Tx, id: string): Promise<void> {
  if (!(await tx.first(organizations, { id, kind: 'tenant' }))) throw notFound('tenant', id);
}

/** Whose limit it is. */
async function scopeOf(
  tx: Tx,
  scope: QuotaRow['scope'],
  id: string,
): Promise<{ organizationId: string; projectId: string | null }> {
  if (scope === 'organization') {
    await tenantOf(tx, id);
    return { organizationId: id, projectId: null };
  }
  const project = scope === 'project' ? await tx.first(projects, { id }) : null;
  const key = scope === 'key' ? await tx.first(apiKeys, { id }) : null;
  if (project) return { organizationId: project.organizationId, projectId: project.id };
  if (key) return { organizationId: key.organizationId, projectId: key.projectId };
  throw new DomainError('invalid', 'unknown-scope', `There is no ${scope} ${id} here.`, { field: 'scopeId' });
}

function limitsOf({ dimension, per, limitN, mode, policy, cohortId, borrowingLimit, lendingLimit, scopeId }: QuotaRow) {
  return { scopeId, dimension, per, limit: limitN, mode, policy, cohortId, borrowingLimit, lendingLimit };
}

function showGrant(row: GrantRow) {
  return {
    id: row.id,
    organizationId: row.organizationId,
    reference: row.reference,
    amount: String(row.amountNano),
    spent: String(row.spentNano),
    returned: String(row.returnedNano),
    priority: row.priority,
    expiresAt: timeText(row.expiresAt),
    state: row.state,
    createdAt: timeText(row.createdAt),
  };
}
