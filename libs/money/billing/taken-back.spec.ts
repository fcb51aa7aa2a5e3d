import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, newId, usd } from '#kernel';
import { account } from '#money/ledger';
import { monthStart } from '#money/metering';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { balanceOf, charge, openBilling, payAfterwards } from './billing.fixture.js';
import { invoicePayments, invoices, paymentPauses, type InvoiceRow } from './index.js';

const by = { keyId: newId('key'), organizationId: newId('organization'), requestId: 'req_spec', address: null };

describe.each(specStores)('payments that were taken back, $name', ({ open }) => {
  let spec: SpecStore;
  let till: Till;
  let made: ReturnType<typeof openBilling>;
  let last: number;
  beforeAll(async () => {
    spec = await open();
    till = await openTill(spec);
    made = openBilling(till, spec.clock);
    last = monthStart(monthStart(spec.clock.now()) - 1);
  });
  afterAll(() => spec.close());

  /** An invoice over $15, of which a card has paid $20: $5 became credit. */
  const paid = async (): Promise<{ tenant: Tenant; id: string }> => {
    const tenant = await till.tenant('0');
    const { organizationId } = tenant;
    await payAfterwards(till, tenant, usd('100'));
    await charge(till, tenant, { fromMs: last, amountNano: usd('15') });
    await made.billing.ensureDraft(organizationId, last);
    const draft = await till.tx((tx) => tx.first(invoices, { organizationId, periodStart: last }));
    const { id } = await made.billing.issueNow(draft?.id ?? '', by);
    await made.billing.payments.record(id, { method: 'processor', reference: 'pay_1', cents: 2_000n }, by);
    return { tenant, id };
  };
  const now = async (id: string): Promise<InvoiceRow> => {
    const row = await till.tx((tx) => tx.first(invoices, { id }));
    if (!row) throw new Error('no invoice');
    return row;
  };
  const takeBack = (id: string, reference: string, cents: bigint, payment = 'pay_1') =>
    till.tx((tx) => made.billing.takenBack.takeBackIn(tx, id, { payment, reference, cents, to: account.clearing }, by));
  const books = async ({ organizationId }: Tenant) => ({
    credit: await balanceOf(till, account.credit(organizationId)),
    receivable: await balanceOf(till, account.receivable(organizationId)),
  });

  it('open the invoice again for what it had got, and say how much that was', async () => {
    const { tenant, id } = await paid();
    expect([(await now(id)).state, await takeBack(id, 'dsp_1', 2_000n)]).toEqual(['paid', 1_500n]);
    expect(await now(id)).toMatchObject({ state: 'open', paidCents: 0n, paidAt: null, wakeAt: null });
    expect(await books(tenant)).toEqual({ credit: usd('5'), receivable: -usd('15') });
    const rows = await till.tx((tx) => tx.find(invoicePayments, { invoiceId: id, reference: 'dsp_1' }));
    expect(rows).toMatchObject([{ cents: -1_500n, creditCents: 0n, method: 'processor' }]);
    await till.audit();
  });

  it('count once for a reference, and never take more than there is', async () => {
    const { tenant, id } = await paid();
    expect([await takeBack(id, 'a', 1_000n), await takeBack(id, 'a', 1_000n)]).toEqual([1_000n, 1_000n]);
    expect([await takeBack(id, 'b', 1_000n), await takeBack(id, 'c', 1_000n)]).toEqual([500n, 0n]);
    expect(await books(tenant)).toEqual({ credit: usd('5'), receivable: -usd('15') });
  });

  it('that another payment made are not this one’s', async () => {
    const { id } = await paid();
    expect([await takeBack(id, 'a', 1_000n, 'pay_2'), (await now(id)).state]).toEqual([0n, 'paid']);
  });

  it('leave alone what a credit note has paid back already', async () => {
    const { id } = await paid();
    const note = { reason: 'x', what: { cents: 600n }, refundTo: 'payment' } as const;
    await made.billing.corrections.credit(id, note, by);
    expect(await takeBack(id, 'a', 2_000n)).toBe(900n);
  });

  it('can be paid again, by hand or because a dispute was won', async () => {
    const { tenant, id } = await paid();
    await takeBack(id, 'dsp_1', 1_500n);
    await made.billing.payments.record(id, { method: 'processor', reference: 'dsp_1:won', cents: 1_500n }, by);
    expect(await now(id)).toMatchObject({ state: 'paid', paidCents: 1_500n });
    expect(await books(tenant)).toEqual({ credit: usd('5'), receivable: 0n });
  });

  it('are not reminded of until they are demanded; then the old due date counts', async () => {
    const { tenant, id } = await paid();
    const { organizationId } = tenant;
    await takeBack(id, 'dsp_1', 1_500n);
    const reconciler = made.billing.reconciler(() => Promise.resolve());
    await till.tx((tx) => tx.update(invoices, { id }, { wakeAt: 0 }));
    while ((await reconciler.step(id)) === 'again');
    expect(await now(id)).toMatchObject({ state: 'open', wakeAt: null });
    await till.tx((tx) => made.billing.takenBack.demandIn(tx, id));
    const demanded = await now(id);
    expect([demanded.dunned, demanded.wakeAt !== null]).toEqual([0, true]);
    // It is due in the future still: nothing is late.
    expect((demanded.dueAt ?? 0) - spec.clock.now()).toBeGreaterThan(DAY);
    expect(await till.tx((tx) => tx.first(paymentPauses, { organizationId }))).toBeNull();
  });

  it('of an invoice that was written off are a loss again', async () => {
    const { tenant, id } = await paid();
    await takeBack(id, 'a', 500n);
    await made.billing.payments.writeOff(id, 'gone', by);
    const before = await balanceOf(till, account.losses);
    expect(await takeBack(id, 'b', 400n)).toBe(400n);
    expect((await balanceOf(till, account.losses)) - before).toBe(-usd('4'));
    expect((await books(tenant)).receivable).toBe(0n);
    expect((await now(id)).state).toBe('uncollectible');
    await till.audit();
  });
});
