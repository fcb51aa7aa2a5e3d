import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HOUR, newId, SeededRandom, usd } from '#kernel';
import { Outbox } from '#platform/database';
import { BROKER } from '#identity/audit';
import { Billing, defaultBillingSettings, invoicePayments, invoices, manualRate } from '#money/billing';
import { account } from '#money/ledger';
import { monthStart } from '#money/metering';
import { invoicesOf, payments } from '#money/payments';
import type { Till } from '#testing/till';
import { openRig, type Rig } from './rig.js';

let rig: Rig;
let billing: Billing;
beforeEach(async () => {
  rig = await openRig({
    invoices: (till) => {
      billing = billingOf(till);
      return invoicesOf(billing);
    },
  });
});
afterEach(async () => {
  await rig.till.audit();
  await rig.close();
  expect(rig.failures).toEqual([]);
  expect(rig.standIn.mistakes).toEqual([]);
});

/** The room that has the invoices, as it is; its documents are not looked at here. */
function billingOf({ store, ledger, metering: { clock } }: Till): Billing {
  const random = new SeededRandom('billed');
  const outbox = new Outbox(store, random);
  const none = () => Promise.reject(new Error('no documents here'));
  const parts = { store, clock, random, ledger, outbox, settings: defaultBillingSettings, tax: manualRate };
  return new Billing(parts, { put: none, get: none });
}

/** An invoice over $20.00 of last month, paid with the card. */
async function paid() {
  const { organizationId } = await rig.payer();
  const periodStart = monthStart(monthStart(rig.clock.now()) - 1);
  const of = { organizationId, projectId: newId('project', rig.clock.now(), new SeededRandom(organizationId)) };
  await rig.tx((tx) => rig.till.credit.setLimit(tx, organizationId, usd('100')));
  const providerId = await rig.till.provider();
  await rig.tx(async (tx) => {
    const amountNano = usd('20');
    const hold = await rig.till.holds.take(tx, { ...of, amountNano });
    const charge = { perHour: amountNano, startMs: periodStart, fromMs: periodStart, toMs: periodStart + HOUR };
    const lease = { leaseId: 'lease_billed', jobId: null, providerId, holdId: hold.id, resource: 'H100 x1' };
    await rig.till.metering.leaseTime(tx, { ...of, ...lease, charge, cost: null }, true);
  });
  await billing.ensureDraft(organizationId, periodStart);
  const draft = await rig.tx((tx) => tx.first(invoices, { organizationId, periodStart }));
  const { id } = await billing.issueNow(draft?.id ?? '', BROKER);
  await rig.payments.collect();
  await rig.drive();
  const payment = await rig.tx((tx) => tx.first(payments, { invoiceId: id }));
  return { id, organizationId, intentId: payment?.processorId ?? '' };
}
const told = async (): Promise<void> => {
  await rig.standIn.webhooks.deliver({ copies: 2 });
  await rig.drive();
};
const books = async (id: string, organizationId: string) => {
  const row = await rig.tx((tx) => tx.first(invoices, { id }));
  return {
    state: row?.state,
    paid: row?.paidCents,
    receivable: await rig.balanceCents(account.receivable(organizationId)),
    credit: await rig.creditCents(organizationId),
    clearing: -(await rig.balanceCents(account.clearing)),
  };
};
/** What Stripe holds for us, by its own count. */
const stripeHas = (): bigint =>
  BigInt(rig.standIn.objects('balance_transaction').reduce((n, t) => n + Number(t['net']), 0));

describe('an invoice of the books that a card has paid', () => {
  it('is paid again when a refund that was made in Stripe’s own pages comes back', async () => {
    const { id, organizationId, intentId } = await paid();
    const whole = { state: 'paid', paid: 2_000n, receivable: 0n, credit: 0n };
    expect(await books(id, organizationId)).toEqual({ ...whole, clearing: stripeHas() });
    const { id: refundId } = rig.standIn.refundElsewhere(intentId, 700);
    await told();
    const open = { state: 'open', paid: 1_300n, receivable: -700n, credit: 0n };
    expect(await books(id, organizationId)).toEqual({ ...open, clearing: stripeHas() });
    rig.standIn.failRefund(refundId);
    await told();
    expect(await books(id, organizationId)).toEqual({ ...whole, clearing: stripeHas() });
    const rows = await rig.tx((tx) => tx.find(invoicePayments, { invoiceId: id }, { orderBy: [['at', 'asc']] }));
    expect(rows.map((p) => p.cents).sort()).toEqual([-700n, 2_000n, 700n].sort());
  });

  it('is open while it is disputed, and paid again when the dispute is won', async () => {
    const { id, organizationId, intentId } = await paid();
    const { id: disputeId } = rig.standIn.openDispute(intentId);
    await told();
    expect(await books(id, organizationId)).toMatchObject({ state: 'open', receivable: -2_000n, credit: 0n });
    rig.standIn.closeDispute(disputeId, 'won');
    await told();
    expect(await books(id, organizationId)).toMatchObject({ state: 'paid', receivable: 0n, clearing: stripeHas() });
  });
});
