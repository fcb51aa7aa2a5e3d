import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HOUR, newId, usd } from '#kernel';
import { auditLog, BROKER } from '#identity/audit';
import { outbox, WORKER } from '#platform/database';
import { account, entries } from '#money/ledger';
import { monthStart } from '#money/metering';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { balanceOf, charge, openBilling, payAfterwards } from './billing.fixture.js';
import { invoiceLines, invoices, type InvoiceRow } from './index.js';

const by = { keyId: newId('key'), organizationId: newId('organization'), requestId: 'req_spec', address: null };

describe.each(specStores)('issuing, $name', ({ open }) => {
  let spec: SpecStore;
  let till: Till;
  let made: ReturnType<typeof openBilling>;
  /** The starts of the two last months that are over. */
  let before: number;
  let last: number;
  let present: number;
  beforeAll(async () => {
    spec = await open();
    till = await openTill(spec);
    made = openBilling(till, spec.clock);
    present = monthStart(spec.clock.now());
    last = monthStart(present - 1);
    before = monthStart(last - 1);
  });
  afterAll(() => spec.close());

  const invoiceOf = async ({ organizationId }: Tenant, periodStart: number): Promise<InvoiceRow> => {
    await made.billing.ensureDraft(organizationId, periodStart);
    const row = await till.tx((tx) => tx.first(invoices, { organizationId, periodStart }));
    if (!row) throw new Error('no invoice');
    return row;
  };
  const issue = async (tenant: Tenant, periodStart: number): Promise<InvoiceRow> =>
    made.billing.issueNow((await invoiceOf(tenant, periodStart)).id, by);
  const balance = (id: string): Promise<bigint> => balanceOf(till, id);

  it('of a tenant who paid before: everything came from the credit, nothing is due and nothing is posted', async () => {
    const tenant = await till.tenant('100');
    await charge(till, tenant, { fromMs: last, amountNano: usd('12.345678901') });
    const row = await issue(tenant, last);
    expect(row).toMatchObject({
      state: 'paid',
      usageNano: usd('12.345678901'),
      usageCents: 1_235n,
      totalCents: 1_235n,
      fromCreditCents: 1_235n,
      dueCents: 0n,
      transactionId: null,
      buyer: { name: `tenant ${tenant.organizationId}` },
    });
    expect(row.number).toMatch(new RegExp(`^${made.series}-\\d{4}-\\d{6}$`));
    expect(await balance(account.credit(tenant.organizationId))).toBe(usd('100') - usd('12.345678901'));
    await till.audit();
  });

  it('of a tenant who pays afterwards: what is owed becomes a receivable in whole cents, and the credit is free again', async () => {
    const tenant = await till.tenant('0');
    await payAfterwards(till, tenant, usd('100'));
    await charge(till, tenant, { fromMs: last, amountNano: usd('10.006') });
    await charge(till, tenant, { fromMs: present, amountNano: usd('1') });
    const row = await issue(tenant, last);
    expect(row).toMatchObject({ state: 'open', usageCents: 1_001n, fromCreditCents: 0n, dueCents: 1_001n });
    expect(row.dueAt).toBe((row.issuedAt ?? 0) + 14 * 24 * HOUR);
    const posted = await till.tx((tx) => tx.find(entries, { transactionId: row.transactionId ?? '' }));
    expect(new Map(posted.map((e) => [e.accountId, e.amountNano]))).toEqual(
      new Map([
        [account.credit(tenant.organizationId), usd('10.006')],
        [account.receivable(tenant.organizationId), -usd('10.01')],
        [account.rounding, usd('0.004')],
      ]),
    );
    // What was used since is not owed yet.
    expect(await balance(account.credit(tenant.organizationId))).toBe(-usd('1'));
    await till.audit();
  });

  it('of a tenant whose credit ran out on the way: the rest is due', async () => {
    const tenant = await till.tenant('4');
    await payAfterwards(till, tenant, usd('100'));
    await charge(till, tenant, { fromMs: last, amountNano: usd('10') });
    expect(await issue(tenant, last)).toMatchObject({ totalCents: 1_000n, fromCreditCents: 400n, dueCents: 600n });
    expect(await balance(account.credit(tenant.organizationId))).toBe(0n);
  });

  it('adds tax at the organization’s rate, taken from credit as far as it goes', async () => {
    const [rich, poor] = [await till.tenant('100'), await till.tenant('10.50')];
    for (const tenant of [rich, poor]) {
      const profile = { name: 'ACME GmbH', address: ['Street 1', 'Town'], taxId: 'DE1', email: null, netDays: 30 };
      await made.billing.profiles.set(tenant.organizationId, { ...profile, taxLabel: 'VAT', taxRateBps: 1_900 }, by);
      await charge(till, tenant, { fromMs: last, amountNano: usd('10') });
    }
    const paid = await issue(rich, last);
    expect(paid).toMatchObject({ state: 'paid', taxCents: 190n, totalCents: 1_190n, fromCreditCents: 1_190n });
    expect(paid).toMatchObject({ tax: { label: 'VAT', rateBps: 1_900 }, buyer: { name: 'ACME GmbH', taxId: 'DE1' } });
    expect(await balance(account.credit(rich.organizationId))).toBe(usd('88.1'));
    const open = await issue(poor, last);
    expect(open).toMatchObject({ state: 'open', taxCents: 190n, fromCreditCents: 1_050n, dueCents: 140n });
    expect((open.dueAt ?? 0) - (open.issuedAt ?? 0)).toBe(30 * 24 * HOUR);
    expect(await balance(account.receivable(poor.organizationId))).toBe(-usd('1.4'));
    await till.audit();
  });

  it('puts what arrives after an invoice on the next one, as lines of their own', async () => {
    const tenant = await till.tenant('100');
    await charge(till, tenant, { fromMs: before, amountNano: usd('5') });
    const first = await issue(tenant, before);
    await charge(till, tenant, { fromMs: before + HOUR, amountNano: usd('2') });
    await charge(till, tenant, { fromMs: last, amountNano: usd('3') });
    const second = await issue(tenant, last);
    expect([first.usageNano, second.usageNano]).toEqual([usd('5'), usd('5')]);
    const lines = await till.tx((tx) => tx.find(invoiceLines, { invoiceId: second.id }, { orderBy: [['n', 'asc']] }));
    expect(lines.map((l) => [l.periodStart, l.amountNano, l.cents])).toEqual([
      [last, usd('3'), 300n],
      [before, usd('2'), 200n],
    ]);
    const third = await made.billing.preview(WORKER, tenant.organizationId, present);
    expect(third.lines).toEqual([]);
  });

  it('goes month by month, and not before a month is over', async () => {
    const tenant = await till.tenant('100');
    const { id } = await invoiceOf(tenant, present);
    await expect(made.billing.issueNow(id, by)).rejects.toMatchObject({ code: 'period-not-over' });
    await charge(till, tenant, { fromMs: before, amountNano: usd('1') });
    await charge(till, tenant, { fromMs: last, amountNano: usd('1') });
    await invoiceOf(tenant, before);
    await expect(issue(tenant, last)).rejects.toMatchObject({ code: 'earlier-invoice-unfinished' });
    await issue(tenant, before);
    expect(await issue(tenant, last)).toMatchObject({ state: 'paid' });
  });

  it('ends a month without usage as void, without a number', async () => {
    const tenant = await till.tenant('1');
    expect(await issue(tenant, last)).toMatchObject({ state: 'void', number: null });
    await charge(till, tenant, { fromMs: last, amountNano: usd('1') });
    const next = await made.billing.preview(WORKER, tenant.organizationId, present);
    expect(next.lines.map((l) => [l.periodStart, l.cents])).toEqual([[last, 100n]]);
  });

  it('waits in issuing_failed while the tax cannot be worked out, and changes nothing meanwhile', async () => {
    const tenant = await till.tenant('10');
    await charge(till, tenant, { fromMs: last, amountNano: usd('1') });
    let fails = true;
    const tax = {
      taxOf: () => (fails ? Promise.reject(new Error('tax office closed')) : Promise.resolve({ cents: 0n, tax: null })),
    };
    const other = openBilling(till, spec.clock, { tax });
    const { id } = await invoiceOf(tenant, last);
    expect(await other.billing.issueNow(id, BROKER)).toMatchObject({
      state: 'issuing_failed',
      number: null,
      failures: 1,
      message: 'tax office closed',
    });
    fails = false;
    await till.tx((tx) => tx.update(invoices, { id }, { wakeAt: 0 }));
    const reconciler = other.billing.reconciler(() => Promise.resolve());
    while ((await reconciler.step(id)) === 'again');
    expect(await till.tx((tx) => tx.first(invoices, { id }))).toMatchObject({ state: 'paid', usageNano: usd('1') });
    expect([...other.documents.kept.keys()].sort()).toEqual([`invoices/${id}-issued.csv`, `invoices/${id}-issued.pdf`]);
  });

  it('is done by the reconciler when the grace is over, and told', async () => {
    const tenant = await till.tenant('10');
    const { organizationId } = tenant;
    // The grace of the last month may not be over.
    await charge(till, tenant, { fromMs: before, amountNano: usd('1') });
    await charge(till, tenant, { fromMs: present, amountNano: usd('1') });
    await made.billing.openDrafts(last);
    await made.billing.openDrafts(spec.clock.now());
    expect(await made.billing.openDrafts(spec.clock.now())).toBe(0);
    const drafts = await till.tx((tx) => tx.find(invoices, { organizationId }, { orderBy: [['periodStart', 'asc']] }));
    expect(drafts.map((d) => [d.periodStart, d.wakeAt])).toEqual([
      [before, last + 48 * HOUR],
      [last, present + 48 * HOUR],
      [present, expect.any(Number)],
    ]);
    const reconciler = made.billing.reconciler(() => Promise.resolve());
    for (const { id, periodStart } of drafts) if (periodStart !== last) while ((await reconciler.step(id)) === 'again');
    const states = await till.tx((tx) => tx.find(invoices, { organizationId }, { orderBy: [['periodStart', 'asc']] }));
    expect(states.map((s) => s.state)).toEqual(['paid', 'draft', 'draft']);
    expect(await till.tx((tx) => tx.find(outbox, { organizationId }))).toMatchObject([{ topic: 'invoice.issued' }]);
    expect(await till.tx((tx) => tx.find(auditLog, { organizationId }))).toMatchObject([
      { action: 'invoice.issue', actorKeyId: null, before: { state: 'issuing' }, after: { state: 'paid' } },
    ]);
  });

  it('has a next one for what arrives late, also where nothing is used any more', async () => {
    const [gone, late, idle] = [await till.tenant('10'), await till.tenant('10'), await till.tenant('10')];
    await charge(till, gone, { fromMs: before, amountNano: usd('1') });
    await charge(till, late, { fromMs: last, amountNano: usd('1') });
    await issue(late, last);
    await charge(till, late, { fromMs: last, amountNano: usd('2') });
    await made.billing.openDrafts(spec.clock.now());
    const draftsOf = async ({ organizationId }: Tenant) =>
      (await till.tx((tx) => tx.find(invoices, { organizationId, state: 'draft' }))).map((d) => d.periodStart);
    expect([await draftsOf(gone), await draftsOf(late), await draftsOf(idle)]).toEqual([
      [before, present],
      [present],
      [],
    ]);
    expect(await made.billing.preview(WORKER, late.organizationId, present)).toMatchObject({
      usageNano: usd('2'),
      lines: [{ periodStart: last, amountNano: usd('2') }],
    });
  });

  it('is not left out where nobody issued for more than a month, and comes before no later one that was issued', async () => {
    const [both, later] = [await till.tenant('10'), await till.tenant('10')];
    for (const tenant of [both, later])
      for (const fromMs of [before, last]) await charge(till, tenant, { fromMs, amountNano: usd('1') });
    await issue(later, last);
    await made.billing.openDrafts(spec.clock.now());
    const known = async ({ organizationId }: Tenant) =>
      (await till.tx((tx) => tx.find(invoices, { organizationId }, { orderBy: [['periodStart', 'asc']] }))).map((i) => [
        i.periodStart,
        i.state,
      ]);
    expect(await known(both)).toEqual([before, last, present].map((month) => [month, 'draft']));
    expect(await known(later)).toEqual([
      [last, 'paid'],
      [present, 'draft'],
    ]);
  });

  it('is foretold after its month as it will be, whatever was used since', async () => {
    const tenant = await till.tenant('0');
    await payAfterwards(till, tenant, usd('100'));
    await till.tx((tx) => till.ledger.credit(tx, tenant.organizationId, usd('4'), 'payment', newId('payment')));
    await charge(till, tenant, { fromMs: last, amountNano: usd('10') });
    await charge(till, tenant, { fromMs: present, amountNano: usd('3') });
    const told = await made.billing.preview(WORKER, tenant.organizationId, last);
    const { dueCents, fromCreditCents } = await issue(tenant, last);
    expect({ dueCents, fromCreditCents }).toEqual({ dueCents: 600n, fromCreditCents: 400n });
    expect(told).toMatchObject({ dueCents, fromCreditCents });
  });

  it('fixes what was issued, in the database itself', async () => {
    if (!spec.postgres) return;
    const tenant = await till.tenant('10');
    await charge(till, tenant, { fromMs: last, amountNano: usd('1') });
    const { id } = await issue(tenant, last);
    for (const change of [{ totalCents: 5n }, { number: 'X' }, { usageNano: 1n }, { dueAt: 0 }])
      await expect(till.tx((tx) => tx.update(invoices, { id }, change))).rejects.toThrow(/fixed|does not change/);
    await expect(till.tx((tx) => tx.remove(invoices, { id }))).rejects.toThrow(/cannot be removed/);
    const [line] = await till.tx((tx) => tx.find(invoiceLines, { invoiceId: id }));
    if (!line) throw new Error('no line');
    await expect(till.tx((tx) => tx.insert(invoiceLines, { ...line, n: 9 }))).rejects.toThrow(/fixed/);
    await expect(till.tx((tx) => tx.update(invoiceLines, { invoiceId: id }, { cents: 9n }))).rejects.toThrow(/denied/);
  });

  it('gives numbers without gaps, whoever issues at the same time and whatever fails', async () => {
    const own = openBilling(till, spec.clock);
    const tenants = await Promise.all(Array.from({ length: 12 }, () => till.tenant('10')));
    for (const tenant of tenants) await charge(till, tenant, { fromMs: last, amountNano: usd('1') });
    const drafts = await Promise.all(tenants.map((t) => invoiceOf(t, last)));
    await Promise.allSettled(drafts.flatMap(({ id }) => [own.billing.issueNow(id, by), own.billing.issueNow(id, by)]));
    // Whoever lost a race left the invoice for the winner; what is left over is issued now.
    for (const { id } of drafts) await own.billing.issueNow(id, by);
    const rows = await till.tx((tx) => tx.find(invoices, { id: { in: drafts.map((d) => d.id) } }));
    expect(rows.map((r) => r.number).sort()).toEqual(
      tenants.map(
        (_, i) => `${own.series}-${new Date(spec.clock.now()).getUTCFullYear()}-${String(i + 1).padStart(6, '0')}`,
      ),
    );
  });
});
