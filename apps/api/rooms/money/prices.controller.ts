import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { notFound } from '#kernel';
import { idOf, isoTime, nanoUsdText, priceTermsSchema } from '#contracts';
import type { Broker } from '#broker';
import { audit, authorOf } from '#identity/audit';
import { organizations } from '#identity/tenancy';
import { commitments, organizationPlans, type CommitmentRow, type PriceBookRow } from '#money/rating';
import { marginBy, marginGroups } from '#money/margins';
import { WORKER, type Store, type Tx } from '#platform/database';
import type { Ground } from '../../ground.js';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { GROUND } from '../../services.js';
import { BROKER, STORE } from '../../tokens.js';
import { nameText, timeText } from '../shapes.js';
import { spanAsked } from './span.js';

const tag = 'Administration';
const access = { roles: ['platform-admin'] } as const;
const effectiveAt = isoTime.optional().describe('Now or later; default: now');
const ofTenant = z.strictObject({ id: idOf('organization') });

const priceBookSchema = z
  .object({
    id: idOf('priceBook'),
    version: z.int(),
    effectiveAt: isoTime,
    terms: priceTermsSchema,
    note: z.string().nullable(),
    createdAt: isoTime,
  })
  .meta({ id: 'PriceBook' });

const commitmentSchema = z
  .object({
    id: idOf('commitment'),
    organizationId: z.string(),
    projectId: z
      .string()
      .nullable()
      .describe('Whose usage alone counts for it and is cheaper for it; null: that of all projects'),
    per: z.enum(['hour', 'month']),
    amount: nanoUsdText,
    discountBps: z.int(),
    startsAt: isoTime,
    endsAt: isoTime,
    settledThrough: isoTime.describe('Until when what was missing has been charged'),
    owed: nanoUsdText.describe('Missing and not covered by the credit yet'),
  })
  .meta({ id: 'Commitment' });

const listPriceBooks = route({
  method: 'GET',
  path: '/v1/admin/price-books',
  tag,
  name: 'listPriceBooks',
  summary: 'List the versions of the price book, newest first',
  access,
  returns: z.object({ items: z.array(priceBookSchema), inForce: z.int().nullable() }).meta({ id: 'PriceBooks' }),
});

const publishPriceBook = route({
  method: 'POST',
  path: '/v1/admin/price-books',
  tag,
  name: 'publishPriceBook',
  summary: 'Publish a version of the price book',
  description: 'Versions are never edited, only superseded. What is rented already keeps the price of its time.',
  access,
  body: z
    .strictObject({ effectiveAt, note: nameText.optional(), terms: priceTermsSchema })
    .meta({ id: 'NewPriceBook' }),
  returns: priceBookSchema,
});

const setPlan = route({
  method: 'PUT',
  path: '/v1/admin/organizations/{id}/plan',
  tag,
  name: 'setPlan',
  summary: 'Put a tenant on a plan of the price book, or off it',
  access,
  params: ofTenant,
  body: z.strictObject({ plan: nameText.nullable(), effectiveAt }).meta({ id: 'PlanChange' }),
  returns: 'nothing',
});

const getPlan = route({
  method: 'GET',
  path: '/v1/admin/organizations/{id}/plan',
  tag,
  name: 'getPlan',
  summary: 'Show which plan a tenant is on, and was',
  access,
  params: ofTenant,
  returns: z
    .object({
      plan: z.string().nullable().describe('Now'),
      history: z
        .array(z.object({ plan: z.string().nullable(), effectiveAt: isoTime }))
        .describe('The latest change first; null: off the plan'),
    })
    .meta({ id: 'Plan' }),
});

const listOwnCommitments = route({
  method: 'GET',
  path: '/v1/commitments',
  tag: 'Money',
  name: 'listOwnCommitments',
  summary: 'List what your organization has promised to spend',
  access: { roles: ['admin'] },
  returns: z.object({ items: z.array(commitmentSchema) }).meta({ id: 'OwnCommitments' }),
});

const listCommitments = route({
  method: 'GET',
  path: '/v1/admin/organizations/{id}/commitments',
  tag,
  name: 'listCommitments',
  summary: 'List a tenant’s promises of spending',
  access,
  params: ofTenant,
  returns: z.object({ items: z.array(commitmentSchema) }).meta({ id: 'Commitments' }),
});

const addCommitment = route({
  method: 'POST',
  path: '/v1/admin/organizations/{id}/commitments',
  tag,
  name: 'addCommitment',
  summary: 'Note a tenant’s promise to spend, for a discount',
  description: 'After each month, and at its end, what was promised and not spent is charged.',
  access,
  params: ofTenant,
  body: z
    .strictObject({
      projectId: idOf('project').optional().describe('For the usage of this project alone'),
      per: z.enum(['hour', 'month']),
      amount: nanoUsdText.refine((t) => BigInt(t) > 0n, 'must be more than zero'),
      discountBps: z.int().min(0).max(10_000),
      startsAt: effectiveAt,
      endsAt: isoTime,
    })
    .meta({ id: 'NewCommitment' }),
  returns: commitmentSchema,
  creates: true,
});

const getMargins = route({
  method: 'GET',
  path: '/v1/admin/reports/margin',
  tag,
  name: 'getMargins',
  summary: 'Sum up charges, cost and margin by provider, SKU, day or lease',
  description: 'Between `from` (default: 30 days ago) and `to` (default: now). Cost is in the vendor’s own increments.',
  access,
  query: z.strictObject({
    from: isoTime.optional(),
    to: isoTime.optional(),
    by: z.enum(marginGroups).default('provider'),
  }),
  returns: z
    .object({
      from: isoTime,
      to: isoTime,
      rows: z.array(
        z.object({
          group: z.string(),
          charge: nanoUsdText,
          cost: nanoUsdText,
          margin: nanoUsdText,
          marginBps: z.int().nullable().describe('Of the charge; null where nothing was charged'),
          tail: nanoUsdText.describe(
            'Part of the cost: what least times and increments of vendors add at the ends of leases',
          ),
          costOnlyMs: z.string().describe('Machine time that the provider bills and no tenant pays for'),
        }),
      ),
    })
    .meta({ id: 'Margins' }),
});

@Controller()
export class PricesController {
  constructor(
    @Inject(BROKER) private readonly broker: Broker,
    @Inject(STORE) private readonly store: Store,
    @Inject(GROUND) private readonly ground: Ground,
  ) {}

  @Serve(listPriceBooks)
  async books(_: Call<typeof listPriceBooks>) {
    return this.store.transaction(WORKER, async (tx) => ({
      items: (await this.broker.prices.book(tx)).map(showBook),
      inForce: (await this.broker.prices.inForce(tx, await tx.now()))?.version ?? null,
    }));
  }

  @Serve(publishPriceBook)
  async publish(call: Call<typeof publishPriceBook>) {
    const { terms, note, effectiveAt: at } = call.body;
    return this.store.transaction(WORKER, async (tx) => {
      const before = await this.broker.prices.inForce(tx, await tx.now());
      const row = await this.broker.prices.publish(tx, {
        terms,
        ...(note === undefined ? {} : { note }),
        ...(at === undefined ? {} : { effectiveAt: Date.parse(at) }),
      });
      await audit(tx, {
        by: authorOf(call),
        organizationId: null,
        action: 'price-book.publish',
        subject: row.id,
        before: before && showBook(before),
        after: showBook(row),
      });
      return showBook(row);
    });
  }

  @Serve(setPlan)
  async plan(call: Call<typeof setPlan>) {
    const { plan, effectiveAt: at } = call.body;
    const organizationId = call.params.id;
    await this.store.transaction(WORKER, async (tx) => {
      await tenant(tx, organizationId);
      const before = await this.broker.prices.planAt(tx, organizationId, await tx.now());
      await this.broker.prices.setPlan(tx, organizationId, plan, at === undefined ? undefined : Date.parse(at));
      await audit(tx, {
        by: authorOf(call),
        organizationId,
        action: 'plan.set',
        subject: organizationId,
        before: { plan: before },
        after: { plan, effectiveAt: at ?? null },
      });
    });
  }

  @Serve(getPlan)
  async planOf({ params }: Call<typeof getPlan>) {
    return this.store.transaction(WORKER, async (tx) => {
      await tenant(tx, params.id);
      const rows = await tx.find(organizationPlans, { organizationId: params.id }, { orderBy: [['n', 'desc']] });
      return {
        plan: await this.broker.prices.planAt(tx, params.id, await tx.now()),
        history: rows.map((r) => ({ plan: r.plan, effectiveAt: timeText(r.effectiveAt) })),
      };
    });
  }

  @Serve(listOwnCommitments)
  async ownPromises({ principal }: Call<typeof listOwnCommitments>) {
    const { organizationId } = principal;
    const rows = await this.store.transaction(principal.actor, (tx) =>
      tx.find(commitments, { organizationId }, { orderBy: [['id', 'desc']] }),
    );
    return { items: rows.map(showCommitment) };
  }

  @Serve(listCommitments)
  async promises({ params }: Call<typeof listCommitments>) {
    const organizationId = params.id;
    const rows = await this.store.transaction(WORKER, async (tx) => {
      await tenant(tx, organizationId);
      return tx.find(commitments, { organizationId }, { orderBy: [['id', 'desc']] });
    });
    return { items: rows.map(showCommitment) };
  }

  @Serve(addCommitment)
  async promise(call: Call<typeof addCommitment>) {
    const { projectId = null, per, amount, discountBps, startsAt, endsAt } = call.body;
    const organizationId = call.params.id;
    return this.store.transaction(WORKER, async (tx) => {
      await tenant(tx, organizationId);
      const row = await this.broker.prices.commit(tx, {
        organizationId,
        projectId,
        per,
        amountNano: BigInt(amount),
        discountBps,
        endsAt: Date.parse(endsAt),
        ...(startsAt === undefined ? {} : { startsAt: Date.parse(startsAt) }),
      });
      await audit(tx, {
        by: authorOf(call),
        organizationId,
        action: 'commitment.add',
        subject: row.id,
        after: showCommitment(row),
      });
      await call.remember(tx, showCommitment(row));
      return showCommitment(row);
    });
  }

  @Serve(getMargins)
  async margins({ query }: Call<typeof getMargins>) {
    const { fromMs, toMs } = spanAsked(query, this.ground.clock.now());
    const rows = await this.store.transaction(WORKER, (tx) => marginBy(tx, { fromMs, toMs, by: query.by }));
    return {
      from: timeText(fromMs),
      to: timeText(toMs),
      rows: rows.map((r) => ({
        group: r.group,
        charge: String(r.chargeNano),
        cost: String(r.costNano),
        margin: String(r.marginNano),
        marginBps: r.marginBps,
        tail: String(r.tailNano),
        costOnlyMs: String(r.costOnlyMs),
      })),
    };
  }
}

async function tenant(tx: Tx, id: string): Promise<void> {
  if (!(await tx.first(organizations, { id, kind: 'tenant' }))) throw notFound('tenant', id);
}

function showBook(row: PriceBookRow) {
  return {
    // Rows carry ids of their own kind; the type of a column is text.
    id: row.id as z.infer<typeof priceBookSchema>['id'],
    version: row.version,
    effectiveAt: timeText(row.effectiveAt),
    terms: row.terms,
    note: row.note,
    createdAt: timeText(row.createdAt),
  };
}

function showCommitment(row: CommitmentRow) {
  return {
    // As above.
    id: row.id as z.infer<typeof commitmentSchema>['id'],
    organizationId: row.organizationId,
    projectId: row.projectId,
    per: row.per,
    amount: String(row.amountNano),
    discountBps: row.discountBps,
    startsAt: timeText(row.startsAt),
    endsAt: timeText(row.endsAt),
    settledThrough: timeText(row.settledThrough),
    owed: String(row.owedNano),
  };
}
