import { Controller } from '@nestjs/common';
import { z } from 'zod';
import { idOf, nanoUsdText } from '#contracts';
import { authorOf } from '#identity/audit';
import { WORKER } from '#platform/database';
import { disputeReasons, disputeStates, Payouts, payoutStates } from '#money/payouts';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { nameText } from '../shapes.js';
import { centsText } from './invoice-shapes.js';
import {
  disputeSchema,
  monthMs,
  monthText,
  payoutSchema,
  showDispute,
  showPayout,
  showStatement,
  showTerms,
  statementSchema,
  termsFields,
  termsSchema,
} from './payout-shapes.js';

const access = { roles: ['platform-admin'] } as const;
const tag = 'Administration';
const params = z.strictObject({ id: idOf('payout') });
const providerParams = z.strictObject({ id: idOf('provider') });
const reasonBody = z
  .strictObject({ reason: nameText.describe('For the provider, and for the audit log') })
  .meta({ id: 'PayoutReason' });
const ofProvider = { providerId: idOf('provider').optional() };

const listAllPayouts = route({
  method: 'GET',
  path: '/v1/admin/payouts',
  tag,
  name: 'listAllPayouts',
  summary: 'List the payouts of all providers, newest first',
  access,
  query: z.strictObject({ state: z.enum(payoutStates).optional(), ...ofProvider }),
  returns: payoutSchema,
  page: true,
});

const listAllPayoutStatements = route({
  method: 'GET',
  path: '/v1/admin/payouts/statements',
  tag,
  name: 'listAllPayoutStatements',
  summary: 'List the statements of all providers, newest month first',
  access,
  query: z.strictObject(ofProvider),
  returns: statementSchema,
  page: true,
});

const runPayouts = route({
  method: 'POST',
  path: '/v1/admin/payouts/run',
  tag,
  name: 'runPayouts',
  summary: 'Make the statements of a month, and set its payouts aside',
  description:
    'The month must be over. One statement per provider and month: again makes only those that are missing. Without this, they are made when the grace after the month’s end is over.',
  access,
  body: z.strictObject({ month: monthText, ...ofProvider }).meta({ id: 'PayoutRun' }),
  returns: z
    .object({
      made: z.array(statementSchema),
      known: z.number().describe('Providers whose statement was there already'),
      failed: z.array(z.object({ providerId: z.string(), message: z.string() })),
    })
    .meta({ id: 'PayoutRunReport' }),
});

const approvePayout = route({
  method: 'POST',
  path: '/v1/admin/payouts/{id}/approve',
  tag,
  name: 'approvePayout',
  summary: 'Let a proposed payout go: by transfer, or to be paid by hand, as the provider’s terms say',
  access,
  params,
  returns: payoutSchema,
});

const sendPayout = route({
  method: 'POST',
  path: '/v1/admin/payouts/{id}/pay',
  tag,
  name: 'sendPayout',
  summary: 'Try a payout again that failed',
  description: 'What became of the first try is looked up before anything is sent.',
  access,
  params,
  returns: payoutSchema,
});

const markPayoutPaid = route({
  method: 'POST',
  path: '/v1/admin/payouts/{id}/paid',
  tag,
  name: 'markPayoutPaid',
  summary: 'Say that a payout was paid by hand',
  access,
  params,
  body: z.strictObject({ reference: nameText.describe('What the bank calls it') }).meta({ id: 'PayoutPaid' }),
  returns: payoutSchema,
});

const cancelPayout = route({
  method: 'POST',
  path: '/v1/admin/payouts/{id}/cancel',
  tag,
  name: 'cancelPayout',
  summary: 'Give up a payout that was not sent; it is due again, and on the next statement',
  access,
  params,
  body: reasonBody,
  returns: payoutSchema,
});

const reversePayout = route({
  method: 'POST',
  path: '/v1/admin/payouts/{id}/reverse',
  tag,
  name: 'reversePayout',
  summary: 'Take a paid payout back, or a part of it; it is due again',
  description:
    'Without an amount, all that is left of it; it may be taken back in several parts. A transfer is reversed at the payment processor, which takes its time, one part at a time: the payout stays paid until all of it came back.',
  access,
  params,
  body: z
    .strictObject({
      reason: nameText.describe('For the provider, and for the audit log'),
      amountCents: centsText.refine((t) => BigInt(t) > 0n, 'must be more than zero').optional(),
    })
    .meta({ id: 'PayoutReversal' }),
  returns: payoutSchema,
  creates: true,
});

const listAllPayoutDisputes = route({
  method: 'GET',
  path: '/v1/admin/payouts/disputes',
  tag,
  name: 'listAllPayoutDisputes',
  summary: 'List disputes with all providers, newest first',
  access,
  query: z.strictObject({ state: z.enum(disputeStates).optional(), ...ofProvider }),
  returns: disputeSchema,
  page: true,
});

const openPayoutDispute = route({
  method: 'POST',
  path: '/v1/admin/payouts/disputes',
  tag,
  name: 'openPayoutDispute',
  summary: 'Dispute an amount with a provider',
  description: 'It leaves what is due at once, and comes back when the dispute is dismissed.',
  access,
  body: z
    .strictObject({
      providerId: idOf('provider'),
      leaseId: idOf('lease').nullable().default(null),
      reason: z.enum(disputeReasons),
      note: nameText,
      amount: nanoUsdText,
    })
    .meta({ id: 'NewPayoutDispute' }),
  returns: disputeSchema,
  creates: true,
});

const resolvePayoutDispute = route({
  method: 'POST',
  path: '/v1/admin/payouts/disputes/{id}/resolve',
  tag,
  name: 'resolvePayoutDispute',
  summary: 'Uphold a dispute (the provider is not owed it) or dismiss it (it is due again)',
  access,
  params: z.strictObject({ id: idOf('payoutDispute') }),
  body: z
    .strictObject({ as: z.enum(['upheld', 'dismissed']), resolution: nameText })
    .meta({ id: 'PayoutDisputeResolution' }),
  returns: disputeSchema,
});

const getPayoutTerms = route({
  method: 'GET',
  path: '/v1/admin/payouts/providers/{id}/terms',
  tag,
  name: 'getPayoutTerms',
  summary: 'Show how a provider is paid',
  access,
  params: providerParams,
  returns: termsSchema,
});

const setPayoutTerms = route({
  method: 'PUT',
  path: '/v1/admin/payouts/providers/{id}/terms',
  tag,
  name: 'setPayoutTerms',
  summary: 'Set how a provider is paid; what is not given stays as it is',
  description: 'Counts for statements that are made from now on.',
  access,
  params: providerParams,
  body: z.strictObject(termsFields).partial().meta({ id: 'NewPayoutTerms' }),
  returns: termsSchema,
});

@Controller()
export class AdminPayoutsController {
  constructor(private readonly payouts: Payouts) {}

  @Serve(listAllPayouts)
  async list({ query, page }: Call<typeof listAllPayouts>) {
    const rows = await this.payouts.disbursing.list(WORKER, given(query), page.order);
    return page.answer(rows, (row) => [row.id], showPayout);
  }

  @Serve(listAllPayoutStatements)
  async statements({ query, page }: Call<typeof listAllPayoutStatements>) {
    const rows = await this.payouts.statements.list(WORKER, given(query), page.order);
    return page.answer(rows, (row) => [row.periodStart, row.id], showStatement);
  }

  @Serve(runPayouts)
  async run(call: Call<typeof runPayouts>) {
    const { month, providerId } = call.body;
    const { made, known, failed } = await this.payouts.run(monthMs(month), authorOf(call), providerId);
    return { made: made.map(showStatement), known, failed: [...failed] };
  }

  @Serve(approvePayout)
  async approve(call: Call<typeof approvePayout>) {
    return showPayout(await this.payouts.disbursing.approve(call.params.id, authorOf(call)));
  }

  @Serve(sendPayout)
  async pay(call: Call<typeof sendPayout>) {
    return showPayout(await this.payouts.disbursing.pay(call.params.id, authorOf(call)));
  }

  @Serve(markPayoutPaid)
  async paid(call: Call<typeof markPayoutPaid>) {
    return showPayout(await this.payouts.disbursing.markPaid(call.params.id, call.body.reference, authorOf(call)));
  }

  @Serve(cancelPayout)
  async cancel(call: Call<typeof cancelPayout>) {
    return showPayout(await this.payouts.disbursing.cancel(call.params.id, call.body.reason, authorOf(call)));
  }

  @Serve(reversePayout)
  async reverse(call: Call<typeof reversePayout>) {
    const { reason, amountCents } = call.body;
    const part = { reason, ...(amountCents === undefined ? {} : { amountCents: BigInt(amountCents) }) };
    const row = await this.payouts.disbursing.reverse(call.params.id, part, authorOf(call), (tx, after) =>
      call.remember(tx, showPayout(after)),
    );
    return showPayout(row);
  }

  @Serve(listAllPayoutDisputes)
  async disputes({ query, page }: Call<typeof listAllPayoutDisputes>) {
    const rows = await this.payouts.disputes.list(WORKER, given(query), page.order);
    return page.answer(rows, (row) => [row.id], showDispute);
  }

  @Serve(openPayoutDispute)
  async open(call: Call<typeof openPayoutDispute>) {
    const { amount, ...of } = call.body;
    const dispute = { ...of, amountNano: BigInt(amount) };
    const row = await this.payouts.disputes.open(dispute, authorOf(call), (tx, opened) =>
      call.remember(tx, showDispute(opened)),
    );
    return showDispute(row);
  }

  @Serve(resolvePayoutDispute)
  async resolve(call: Call<typeof resolvePayoutDispute>) {
    const { as, resolution } = call.body;
    return showDispute(await this.payouts.disputes.resolve(call.params.id, as, resolution, authorOf(call)));
  }

  @Serve(getPayoutTerms)
  async terms({ params }: Call<typeof getPayoutTerms>) {
    return showTerms(await this.payouts.terms.get(params.id));
  }

  @Serve(setPayoutTerms)
  async setTerms(call: Call<typeof setPayoutTerms>) {
    const { minimumCents, ...rest } = call.body;
    const change = { ...given(rest), ...(minimumCents === undefined ? {} : { minimumCents: BigInt(minimumCents) }) };
    return showTerms(await this.payouts.terms.set(call.params.id, change, authorOf(call)));
  }
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without what was not given. */
function given<T extends object>(of: T): Given<T> {
  // Only undefined values are left out, which the type says of each.
  return Object.fromEntries(Object.entries(of).filter(([, v]) => v !== undefined)) as Given<T>;
}
