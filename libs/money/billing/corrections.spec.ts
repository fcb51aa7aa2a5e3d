import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId, usd } from '#kernel';
import { auditLog } from '#identity/audit';
import { account } from '#money/ledger';
import { monthStart } from '#money/metering';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { balanceOf, charge, openBilling, payAfterwards } from './billing.fixture.js';
import { creditNotes, invoices, openCents, type InvoiceRow } from './index.js';

const by = { keyId: newId('key'), organizationId: newId('organization'), requestId: 'req_spec', address: null };

describe.each(specStores)('corrections of invoices, $name', ({ open }) => {
  let spec: SpecStore;
  let till: Till;
  let made: ReturnType<typeof openBilling>;
  let last: number;
  let present: number;
  beforeAll(async () => {
    spec = await open();
    till = await openTill(spec);
    made = openBilling(till, spec.clock);
    present = monthStart(spec.clock.now());
    last = monthStart(present - 1);
  });
  afterAll(() => spec.close());

  const issue = async ({ organizationId }: Tenant, periodStart = last): Promise<InvoiceRow> => {
    await made.billing.ensureDraft(organizationId, periodStart);
    const draft = await till.tx((tx) => tx.first(invoices, { organizationId, periodStart }));
    return made.billing.issueNow(draft?.id ?? '', by);
  };
  /** An invoice over $10 and $5 of two machines, and 20 % tax: $18 due. */
  const owing = async (): Promise<{ tenant: Tenant; row: InvoiceRow }> => {
    const tenant = await till.tenant('0');
    await payAfterwards(till, tenant, usd('100'));
    const terms = { name: 'ACME', address: [], taxId: null, email: null, netDays: null };
    await made.billing.profiles.set(tenant.organizationId, { ...terms, taxLabel: 'VAT', taxRateBps: 2_000 }, by);
    await charge(till, tenant, { fromMs: last, amountNano: usd('10'), resource: 'A x1' });
    await charge(till, tenant, { fromMs: last, amountNano: usd('5'), resource: 'B x1' });
    return { tenant, row: await issue(tenant) };
  };
  const now = async (id: string): Promise<InvoiceRow> => {
    const row = await till.tx((tx) => tx.first(invoices, { id }));
    if (!row) throw new Error('no invoice');
    return row;
  };
  const balances = async ({ organizationId }: Tenant) => ({
    credit: await balanceOf(till, account.credit(organizationId)),
    receivable: await balanceOf(till, account.receivable(organizationId)),
  });
  const pay = (id: string, reference: string, cents: bigint | null = null) =>
    made.billing.payments.record(id, { method: 'manual', reference, cents }, by);

  it('begin with what is due: usage and tax', async () => {
    const { tenant, row } = await owing();
    expect(row).toMatchObject({ state: 'open', usageCents: 1_500n, taxCents: 300n, dueCents: 1_800n });
    expect(await balances(tenant)).toEqual({ credit: 0n, receivable: -usd('18') });
  });

  it('count payments once, in parts, and give what is too much to the credit', async () => {
    const { tenant, row } = await owing();
    expect(await pay(row.id, 'a', 800n)).toMatchObject({ state: 'open', paidCents: 800n });
    expect(await pay(row.id, 'a', 800n)).toMatchObject({ state: 'open', paidCents: 800n });
    expect(await pay(row.id, 'b', 1_250n)).toMatchObject({ state: 'paid', paidCents: 1_800n });
    expect(await balances(tenant)).toEqual({ credit: usd('2.5'), receivable: 0n });
    await expect(pay(row.id, 'c')).rejects.toMatchObject({ code: 'nothing-to-pay' });
    const log = await till.tx((tx) => tx.find(auditLog, { subject: row.id, action: 'invoice.pay' }));
    expect(log.map((l) => [l.actorKeyId, l.before, l.after]).length).toBe(2);
    expect(log[0]).toMatchObject({ actorKeyId: by.keyId, requestId: 'req_spec' });
  });

  it('take a credit note off what is open first, then give it to the credit, with its share of the tax', async () => {
    const { tenant, row } = await owing();
    const order = { reason: 'slow', refundTo: 'credit' as const };
    const first = await made.billing.corrections.credit(row.id, { ...order, what: { cents: 500n } }, by);
    expect(first).toMatchObject({ usageCents: 500n, taxCents: 100n, totalCents: 600n, appliedCents: 600n });
    expect(openCents(await now(row.id))).toBe(1_200n);
    await pay(row.id, 'rest');
    const second = await made.billing.corrections.credit(row.id, { ...order, what: 'all' }, by);
    expect(second).toMatchObject({ totalCents: 1_200n, appliedCents: 0n, toCreditCents: 1_200n, refundState: 'none' });
    expect(await balances(tenant)).toEqual({ credit: usd('12'), receivable: 0n });
    expect(Number(second.number.slice(-6)) - Number(first.number.slice(-6))).toBe(1);
    const more = made.billing.corrections.credit(row.id, { ...order, what: { cents: 1n } }, by);
    await expect(more).rejects.toMatchObject({ code: 'more-than-invoiced' });
    await expect(made.billing.corrections.credit(row.id, { ...order, what: 'all' }, by)).rejects.toMatchObject({
      code: 'nothing-to-credit',
    });
  });

  it('credit lines, none beyond what it has; a note over all that is open pays the invoice', async () => {
    const { row } = await owing();
    const view = await made.billing.get({ as: 'worker' }, row.id);
    const b = view.lines.find((l) => l.resource === 'B x1')?.n ?? -1;
    const order = { reason: 'x', refundTo: 'credit' as const };
    const note = (cents: bigint) =>
      made.billing.corrections.credit(row.id, { ...order, what: { lines: [{ n: b, cents }] } }, by);
    await expect(note(501n)).rejects.toMatchObject({ code: 'more-than-invoiced' });
    await note(300n);
    await expect(note(201n)).rejects.toMatchObject({ code: 'more-than-invoiced' });
    expect(await made.billing.corrections.credit(row.id, { ...order, what: 'all' }, by)).toMatchObject({
      totalCents: 1_440n,
    });
    expect(await now(row.id)).toMatchObject({ state: 'paid', creditedCents: 1_800n, paidCents: 0n });
  });

  it('pay back what was paid, at most, and once', async () => {
    const { tenant, row } = await owing();
    await pay(row.id, 'all');
    const order = { reason: 'x', refundTo: 'payment' as const, what: { cents: 1_000n } };
    const note = await made.billing.corrections.credit(row.id, order, by);
    expect(note).toMatchObject({ refundCents: 1_200n, toCreditCents: 0n, refundState: 'pending' });
    const refunds = await balanceOf(till, account.refunds);
    for (let i = 0; i < 2; i++) await made.billing.corrections.refunded(note.id, 'manual', by);
    expect(await till.tx((tx) => tx.first(creditNotes, { id: note.id }))).toMatchObject({ refundState: 'done' });
    expect(await balances(tenant)).toEqual({ credit: 0n, receivable: 0n });
    // Broker accounts may be folded in later: the balance either moved at once or not at all.
    expect([refunds, refunds - usd('12')]).toContain(await balanceOf(till, account.refunds));
  });

  it('count a payment once for its reference, and refuse the reference for another amount', async () => {
    const { row } = await owing();
    expect(await pay(row.id, 'wire', 500n)).toMatchObject({ state: 'open', paidCents: 500n });
    expect(await pay(row.id, 'wire', 500n)).toMatchObject({ paidCents: 500n });
    // Without an amount it is the same payment told of again.
    expect(await pay(row.id, 'wire')).toMatchObject({ paidCents: 500n });
    await expect(pay(row.id, 'wire', 600n)).rejects.toMatchObject({ kind: 'conflict', code: 'reference-used' });
    // What became credit is part of it.
    expect(await pay(row.id, 'rest', 1_400n)).toMatchObject({ state: 'paid', paidCents: 1_800n });
    expect(await pay(row.id, 'rest', 1_400n)).toMatchObject({ state: 'paid', paidCents: 1_800n });
    await expect(pay(row.id, 'rest', 1_300n)).rejects.toMatchObject({ code: 'reference-used' });
  });

  it('void what nothing was paid for: its posting is undone and its usage comes on the next invoice', async () => {
    const { tenant, row } = await owing();
    expect(await made.billing.corrections.void(row.id, 'wrong name', by)).toMatchObject({ state: 'void' });
    expect(await balances(tenant)).toEqual({ credit: -usd('15'), receivable: 0n });
    const next = await made.billing.preview({ as: 'worker' }, tenant.organizationId, present);
    expect(next.lines.map((l) => [l.periodStart, l.resource, l.cents])).toEqual([
      [last, 'A x1', 1_000n],
      [last, 'B x1', 500n],
    ]);
    expect(next.dueCents).toBe(1_800n);
    // Also where nothing is used from now on.
    expect(
      await till.tx((tx) => tx.find(invoices, { organizationId: tenant.organizationId, periodStart: present })),
    ).toMatchObject([{ state: 'draft' }]);
    await expect(pay(row.id, 'late')).rejects.toMatchObject({ code: 'nothing-to-pay' });
  });

  it('void nothing that was paid for', async () => {
    const { row } = await owing();
    await pay(row.id, 'part', 1n);
    await expect(made.billing.corrections.void(row.id, 'x', by)).rejects.toMatchObject({ code: 'already-settled' });
  });

  it('write off what nobody pays, and take the money if it comes after all', async () => {
    const { tenant, row } = await owing();
    await pay(row.id, 'part', 800n);
    expect(await made.billing.payments.writeOff(row.id, 'insolvent', by)).toMatchObject({ state: 'uncollectible' });
    expect(await balances(tenant)).toEqual({ credit: 0n, receivable: 0n });
    expect(await pay(row.id, 'late')).toMatchObject({ state: 'paid', paidCents: 1_800n });
    expect(await balances(tenant)).toEqual({ credit: 0n, receivable: 0n });
    await till.audit();
  });
});
