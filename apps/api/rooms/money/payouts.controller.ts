import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { idOf, isoTime } from '#contracts';
import { authorOf } from '#identity/audit';
import type { Principal } from '#identity/tenancy';
import { Payouts, payoutStates } from '#money/payouts';
import type { Ground } from '../../ground.js';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { GROUND } from '../../services.js';
import {
  accountSchema,
  balanceSchema,
  disputeSchema,
  monthMs,
  monthText,
  payoutSchema,
  showAccount,
  showBalance,
  showDispute,
  showPayout,
  showStatement,
  showView,
  statementSchema,
  statementWithLines,
} from './payout-shapes.js';
import { sent } from './documents.js';

const tag = 'Payouts';
const access = { roles: ['provider-operator'] } as const;
/** A platform administrator reads those of every provider. */
const readers = { roles: ['provider-operator', 'platform-admin'] } as const;
const statementId = z.strictObject({ id: idOf('payoutStatement') });
const draftQuery = z.strictObject({
  providerId: idOf('provider').optional().describe('Default: the only provider of the organization'),
  month: monthText.optional().describe('Default: this month'),
});

const getPayoutBalance = route({
  method: 'GET',
  path: '/v1/payouts/balance',
  tag,
  name: 'getPayoutBalance',
  summary: 'Show what is owed to your providers, and what of it is kept back or in dispute',
  access: readers,
  returns: balanceSchema,
});

const listPayouts = route({
  method: 'GET',
  path: '/v1/payouts',
  tag,
  name: 'listPayouts',
  summary: 'List payouts, newest first',
  access,
  query: z.strictObject({ state: z.enum(payoutStates).optional() }),
  returns: payoutSchema,
  page: true,
});

const getPayout = route({
  method: 'GET',
  path: '/v1/payouts/{id}',
  tag,
  name: 'getPayout',
  summary: 'Show a payout',
  access: readers,
  params: z.strictObject({ id: idOf('payout') }),
  returns: payoutSchema,
});

const listPayoutStatements = route({
  method: 'GET',
  path: '/v1/payouts/statements',
  tag,
  name: 'listPayoutStatements',
  summary: 'List statements, newest month first',
  access,
  returns: statementSchema,
  page: true,
});

const getPayoutStatement = route({
  method: 'GET',
  path: '/v1/payouts/statements/{id}',
  tag,
  name: 'getPayoutStatement',
  summary: 'Show a statement with its lines',
  access: readers,
  params: statementId,
  returns: statementWithLines,
});

const readPayoutStatementPdf = route({
  method: 'GET',
  path: '/v1/payouts/statements/{id}/pdf',
  tag,
  name: 'readPayoutStatementPdf',
  summary: 'Read a statement as PDF',
  description: 'The leases of one day and SKU are one line there; the CSV has each.',
  access: readers,
  params: statementId,
  returns: { bytes: 'application/pdf' },
});

const readPayoutStatementCsv = route({
  method: 'GET',
  path: '/v1/payouts/statements/{id}/csv',
  tag,
  name: 'readPayoutStatementCsv',
  summary: 'Read a statement as CSV, a row for each lease’s day, each movement and both balances',
  access: readers,
  params: statementId,
  returns: { bytes: 'text/csv' },
});

const previewPayoutStatement = route({
  method: 'GET',
  path: '/v1/payouts/preview',
  tag,
  name: 'previewPayoutStatement',
  summary: 'Show a month’s statement as it would be if it were made now',
  access: readers,
  query: draftQuery,
  returns: statementWithLines,
});

const readPayoutPreviewPdf = route({
  method: 'GET',
  path: '/v1/payouts/preview/pdf',
  tag,
  name: 'readPayoutPreviewPdf',
  summary: 'Read a month’s statement as PDF, marked as a draft until it is made',
  access: readers,
  query: draftQuery,
  returns: { bytes: 'application/pdf' },
});

const listPayoutDisputes = route({
  method: 'GET',
  path: '/v1/payouts/disputes',
  tag,
  name: 'listPayoutDisputes',
  summary: 'List disputes about what you earned, newest first',
  access,
  returns: disputeSchema,
  page: true,
});

const getPayoutAccount = route({
  method: 'GET',
  path: '/v1/payouts/account',
  tag,
  name: 'getPayoutAccount',
  summary: 'Show the account that transfers go to',
  access,
  returns: accountSchema,
});

const openPayoutAccount = route({
  method: 'POST',
  path: '/v1/payouts/account',
  tag,
  name: 'openPayoutAccount',
  summary: 'Open an account at the payment processor, to be paid by transfer',
  description:
    'One per organization; one that was refused is tried again. Then get a link and tell the processor who you are.',
  access,
  body: z
    .strictObject({
      country: z.string().regex(/^[A-Z]{2}$/, 'must be two capital letters, such as DE'),
      email: z.email().max(200).nullable().default(null),
    })
    .meta({ id: 'NewPayoutAccount' }),
  returns: accountSchema,
  creates: true,
});

const linkPayoutAccount = route({
  method: 'POST',
  path: '/v1/payouts/account/link',
  tag,
  name: 'linkPayoutAccount',
  summary: 'Get a page of the payment processor’s where you say who you are',
  access,
  body: z
    .strictObject({ returnUrl: z.url().max(500), refreshUrl: z.url().max(500) })
    .meta({ id: 'PayoutAccountVisit' }),
  returns: z.object({ url: z.string(), expiresAt: isoTime }).meta({ id: 'PayoutAccountLink' }),
});

@Controller()
export class PayoutsController {
  constructor(
    private readonly payouts: Payouts,
    @Inject(GROUND) private readonly ground: Ground,
  ) {}

  @Serve(getPayoutBalance)
  async balance({ principal }: Call<typeof getPayoutBalance>) {
    const of = principal.role === 'platform-admin' ? null : principal.organizationId;
    return showBalance(await this.payouts.balances(of, { limit: 1_000 }));
  }

  @Serve(listPayouts)
  async list({ principal, query, page }: Call<typeof listPayouts>) {
    const filter = query.state === undefined ? {} : { state: query.state };
    const rows = await this.payouts.disbursing.list(principal.actor, filter, page.order);
    return page.answer(rows, (row) => [row.id], showPayout);
  }

  @Serve(listPayoutStatements)
  async statements({ principal, page }: Call<typeof listPayoutStatements>) {
    const rows = await this.payouts.statements.list(principal.actor, {}, page.order);
    return page.answer(rows, (row) => [row.periodStart, row.id], showStatement);
  }

  @Serve(getPayoutStatement)
  async statement({ principal, params }: Call<typeof getPayoutStatement>) {
    return showView(await this.payouts.statements.get(principal.actor, params.id));
  }

  @Serve(readPayoutStatementPdf)
  async pdf({ principal, params }: Call<typeof readPayoutStatementPdf>) {
    return sent(await this.payouts.filing.document(principal.actor, params.id, 'pdf'));
  }

  @Serve(readPayoutStatementCsv)
  async csv({ principal, params }: Call<typeof readPayoutStatementCsv>) {
    return sent(await this.payouts.filing.document(principal.actor, params.id, 'csv'));
  }

  @Serve(previewPayoutStatement)
  async preview({ principal, query }: Call<typeof previewPayoutStatement>) {
    const { providerId, atMs } = await this.draftOf(principal, query);
    return showView(await this.payouts.statements.preview(principal.actor, providerId, atMs));
  }

  @Serve(readPayoutPreviewPdf)
  async previewPdf({ principal, query }: Call<typeof readPayoutPreviewPdf>) {
    const { providerId, atMs } = await this.draftOf(principal, query);
    return sent(await this.payouts.filing.draft(principal.actor, providerId, atMs, 'pdf'));
  }

  @Serve(listPayoutDisputes)
  async disputes({ principal, page }: Call<typeof listPayoutDisputes>) {
    const rows = await this.payouts.disputes.list(principal.actor, {}, page.order);
    return page.answer(rows, (row) => [row.id], showDispute);
  }

  @Serve(getPayoutAccount)
  async account({ principal }: Call<typeof getPayoutAccount>) {
    return showAccount(await this.payouts.accounts.get(principal.actor, principal.organizationId));
  }

  @Serve(openPayoutAccount)
  async open(call: Call<typeof openPayoutAccount>) {
    const { principal, body } = call;
    const row = await this.payouts.accounts.begin(principal.organizationId, body, authorOf(call), (tx, begun) =>
      call.remember(tx, showAccount(begun)),
    );
    return showAccount(row);
  }

  @Serve(linkPayoutAccount)
  async link({ principal, body }: Call<typeof linkPayoutAccount>) {
    const { url, expiresAtMs } = await this.payouts.accounts.link(principal.actor, principal.organizationId, body);
    return { url, expiresAt: new Date(expiresAtMs).toISOString() };
  }

  @Serve(getPayout)
  async get({ principal, params }: Call<typeof getPayout>) {
    return showPayout(await this.payouts.disbursing.get(principal.actor, params.id));
  }

  private async draftOf(principal: Principal, query: z.output<typeof draftQuery>) {
    return {
      providerId: query.providerId ?? (await this.payouts.onlyProvider(principal.organizationId)),
      atMs: query.month === undefined ? this.ground.clock.now() : monthMs(query.month),
    };
  }
}
