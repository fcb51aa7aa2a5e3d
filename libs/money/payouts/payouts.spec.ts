import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, SeededRandom, usd } from '#kernel';
import { auditLog, BROKER } from '#identity/audit';
import { NANO_PER_CENT } from '#money/billing';
import { account } from '#money/ledger';
import { monthStart } from '#money/metering';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { movements, payouts as payoutRows, statements, type ProviderToPay } from './index.js';
import { balanceOf, earn, openPayouts } from '#testing/payouts';

describe.each(specStores)('payouts, $name', ({ open }) => {
  let spec: SpecStore;
  let till: Till;
  let rig: ReturnType<typeof openPayouts>;
  let tenant: Tenant;
  /** The month before this one, which is over. */
  let month: number;
  beforeAll(async () => {
    spec = await open();
    till = await openTill(spec, new SeededRandom(`payouts ${spec.postgres === null}`));
    rig = openPayouts(till, spec.clock);
    tenant = await till.tenant('0');
    month = monthStart(monthStart(spec.clock.now()) - 1);
  });
  afterEach(async () => {
    expect(rig.failures).toEqual([]);
    await till.audit();
  });
  afterAll(() => spec.close());

  const manual = { holdbackBps: 0, holdbackDays: 0, minimumCents: 1n };
  /** A provider that earned so much on the third day of a month, by default last month. */
  async function earned(dollars: string, terms: object = manual, of = month): Promise<ProviderToPay> {
    const provider = await rig.provider();
    await rig.payouts.terms.set(provider.id, terms, BROKER);
    await earn(till, tenant, { providerId: provider.id, fromMs: of + 2 * DAY, amountNano: usd(dollars) });
    return provider;
  }
  const state = async ({ id }: ProviderToPay) => ({
    payable: await balanceOf(till, account.payable(id)),
    due: await balanceOf(till, account.due(id)),
    holdback: await balanceOf(till, account.holdback(id)),
    disputed: await balanceOf(till, account.disputed(id)),
  });
  const make = async ({ id }: ProviderToPay, of = month) =>
    (await rig.payouts.statements.make(id, of, BROKER))?.row ?? null;
  const payoutOf = async (provider: ProviderToPay) => {
    const row = await till.tx((tx) => tx.first(payoutRows, { providerId: provider.id }));
    if (!row) throw new Error('no payout');
    return row;
  };
  async function withAccount(provider: ProviderToPay): Promise<void> {
    await rig.payouts.accounts.begin(provider.organizationId, { country: 'DE', email: null }, BROKER);
    await rig.drive();
    await rig.payouts.terms.set(provider.id, { ...manual, method: 'transfer' }, BROKER);
  }

  it('state what was earned, keep a part back, and set the rest aside', async () => {
    const provider = await earned('100.005', { holdbackBps: 1_000, holdbackDays: 14, minimumCents: 2_500n });
    expect(await state(provider)).toMatchObject({ payable: usd('100.005'), due: 0n });
    const row = await make(provider);
    expect(row).toMatchObject({ accruedNano: usd('100.005'), payoutCents: 9_000n, closingNano: usd('0.0045') });
    expect(await state(provider)).toEqual({
      payable: 0n,
      due: usd('0.0045'),
      holdback: usd('10.0005'),
      disputed: 0n,
    });
    const { lines } = await rig.payouts.statements.get({ as: 'worker' }, row?.id ?? '');
    expect(lines.map((l) => [l.kind, l.sku, l.cents])).toEqual([
      ['accrual', 'gpu-1', 10_000n],
      ['holdback', null, -1_000n],
      ['payout', null, -9_000n],
    ]);
    expect(await payoutOf(provider)).toMatchObject({ state: 'proposed', amountCents: 9_000n });
  });

  it('state what others earned where the books of one do not agree, and say so', async () => {
    const both = [await earned('3'), await earned('4')].sort((a, b) => (a.id < b.id ? -1 : 1));
    const [broken, sound] = both as [ProviderToPay, ProviderToPay];
    const stray = await till.tx(async (tx) => {
      const due = { id: account.due(broken.id), kind: 'due', organizationId: broken.organizationId } as const;
      await till.ledger.open(tx, [due]);
      return till.ledger.post(tx, {
        idempotencyKey: `stray ${broken.id}`,
        kind: 'stray',
        organizationId: null,
        reference: 'spec',
        entries: [
          { accountId: due.id, amountNano: 5n },
          { accountId: account.revenue, amountNano: -5n },
        ],
      });
    });
    const { made, failed } = await rig.payouts.run(month, BROKER);
    expect(made.map((row) => row.providerId)).toContain(sound.id);
    expect(failed).toEqual([{ providerId: broken.id, message: expect.stringContaining('is due to') }]);
    await till.tx((tx) => till.ledger.reverse(tx, stray ?? '', 'spec'));
    expect((await rig.payouts.run(month, BROKER)).made.map((row) => row.providerId)).toEqual([broken.id]);
  });

  it('release what was kept back when its time is over, once', async () => {
    // A day after the end of last month may be still to come.
    const earlier = monthStart(month - 1);
    const terms = { holdbackBps: 1_000, minimumCents: 1n };
    const provider = await earned('50', { ...terms, holdbackDays: 1 }, earlier);
    const patient = await earned('50', { ...terms, holdbackDays: 100 }, earlier);
    for (const one of [provider, patient]) {
      await make(one, earlier);
      expect((await state(one)).holdback).toBe(usd('5'));
    }
    await rig.payouts.release();
    await rig.payouts.release();
    expect(await state(provider)).toMatchObject({ holdback: 0n, due: usd('5') });
    expect(await state(patient)).toMatchObject({ holdback: usd('5'), due: 0n });
  });

  it('carry over what is below the minimum', async () => {
    const provider = await earned('24.99', { ...manual, minimumCents: 2_500n });
    expect(await make(provider)).toMatchObject({ payoutCents: 0n, closingCents: 2_499n });
    expect((await state(provider)).due).toBe(usd('24.99'));
  });

  it('say nothing of a month without anything, and wait for its end', async () => {
    const provider = await rig.provider();
    expect(await make(provider)).toBeNull();
    await expect(rig.payouts.statements.make(provider.id, spec.clock.now(), BROKER)).rejects.toMatchObject({
      code: 'period-not-over',
    });
  });

  it('make one statement, however many make it at once', async () => {
    const provider = await earned('7');
    const all = await Promise.all(
      Array.from({ length: 6 }, () => rig.payouts.statements.make(provider.id, month, BROKER)),
    );
    expect(new Set(all.map((s) => s?.row.id)).size).toBe(1);
    expect(all.filter((s) => s?.again === false)).toHaveLength(1);
    expect(await till.tx((tx) => tx.find(statements, { providerId: provider.id }))).toHaveLength(1);
    expect(await state(provider)).toEqual({ payable: 0n, due: 0n, holdback: 0n, disputed: 0n });
  });

  it('by hand: approved, marked as paid, taken back', async () => {
    const provider = await earned('12.34');
    await make(provider);
    const { id } = await payoutOf(provider);
    const cash = await balanceOf(till, account.cash);
    expect((await rig.payouts.disbursing.approve(id, BROKER)).state).toBe('awaiting');
    expect((await rig.payouts.disbursing.markPaid(id, 'wire 1', BROKER)).state).toBe('paid');
    await expect(rig.payouts.disbursing.markPaid(id, 'wire 1', BROKER)).rejects.toMatchObject({ code: 'wrong-state' });
    expect((await balanceOf(till, account.cash)) - cash).toBe(usd('12.34'));
    const back = { reason: 'the bank sent it back' };
    expect((await rig.payouts.disbursing.reverse(id, back, BROKER)).state).toBe('reversed');
    expect(await balanceOf(till, account.cash)).toBe(cash);
    expect((await state(provider)).due).toBe(usd('12.34'));
  });

  it('by hand, taken back in parts up to their whole, each a line of its own', async () => {
    const provider = await earned('12.34');
    await make(provider);
    const { id } = await payoutOf(provider);
    const { disbursing } = rig.payouts;
    const cash = await balanceOf(till, account.cash);
    await disbursing.markPaid(id, 'wire 2', BROKER);
    expect(await disbursing.reverse(id, { reason: 'one lease too many', amountCents: 234n }, BROKER)).toMatchObject({
      state: 'paid',
      reversedCents: 234n,
      reversedAt: null,
    });
    expect((await balanceOf(till, account.cash)) - cash).toBe(usd('10'));
    const tooMuch = disbursing.reverse(id, { reason: 'all of it', amountCents: 1_001n }, BROKER);
    await expect(tooMuch).rejects.toMatchObject({
      code: 'reversal-too-large',
      message: expect.stringContaining('1000 cents'),
    });
    await disbursing.reverse(id, { reason: 'and another', amountCents: 234n }, BROKER);
    expect(await disbursing.reverse(id, { reason: 'the rest' }, BROKER)).toMatchObject({
      state: 'reversed',
      reversedCents: 1_234n,
    });
    expect(await balanceOf(till, account.cash)).toBe(cash);
    expect((await state(provider)).due).toBe(usd('12.34'));
    const rows = await till.tx((tx) => tx.find(movements, { reference: id, kind: 'payout-reversed' }));
    expect(rows.map((m) => [m.note, m.amountNano / NANO_PER_CENT]).sort()).toEqual([
      ['and another', 234n],
      ['one lease too many', 234n],
      ['the rest', 766n],
    ]);
  });

  it('by transfer, taken back in parts, one at a time', async () => {
    const provider = await earned('20');
    await make(provider);
    await withAccount(provider);
    const { id } = await payoutOf(provider);
    const { disbursing } = rig.payouts;
    await disbursing.approve(id, BROKER);
    await rig.drive();
    const clearing = await balanceOf(till, account.clearing);
    const part = { reason: 'a disputed lease', amountCents: 500n };
    await disbursing.reverse(id, part, BROKER);
    const audited = () => till.tx((tx) => tx.find(auditLog, { subject: id, action: 'payout.reverse' }));
    // Neither another part, nor all that is left, nor a second part that is equal may pass for the one that is under way.
    for (const more of [{ ...part, amountCents: 501n }, { reason: 'all of it' }, part])
      await expect(disbursing.reverse(id, more, BROKER)).rejects.toMatchObject({
        code: 'reversal-under-way',
        message: expect.stringContaining('500 cents'),
        details: { facts: { underWayCents: '500' } },
      });
    expect(await audited()).toHaveLength(1);
    await rig.drive();
    expect(await payoutOf(provider)).toMatchObject({ state: 'paid', reversedCents: 500n });
    expect(clearing - (await balanceOf(till, account.clearing))).toBe(usd('5'));
    await disbursing.reverse(id, { reason: 'the rest' }, BROKER);
    await rig.drive();
    expect(await payoutOf(provider)).toMatchObject({ state: 'reversed', reversedCents: 2_000n, message: 'the rest' });
    expect((await state(provider)).due).toBe(usd('20'));
    expect(rig.bank.transfers.filter((t) => t.reference === id)).toMatchObject([{ reversedCents: 2_000n }]);
    const rows = await till.tx((tx) => tx.find(movements, { reference: id, kind: 'payout-reversed' }));
    expect(rows.map((m) => [m.note, m.amountNano / NANO_PER_CENT]).sort()).toEqual([
      ['a disputed lease', 500n],
      ['the rest', 1_500n],
    ]);
  });

  it('say so when the processor does not take a part back', async () => {
    const provider = await earned('6');
    await make(provider);
    await withAccount(provider);
    const { id } = await payoutOf(provider);
    await rig.payouts.disbursing.approve(id, BROKER);
    await rig.drive();
    rig.bank.moods.push('refused');
    await rig.payouts.disbursing.reverse(id, { reason: 'r', amountCents: 1n }, BROKER);
    await rig.drive();
    expect(await payoutOf(provider)).toMatchObject({
      state: 'paid',
      reversedCents: 0n,
      message: 'not taken back: not allowed',
    });
  });

  it('by transfer: to the provider’s account, and back', async () => {
    const provider = await earned('20');
    await make(provider);
    const { id } = await payoutOf(provider);
    await rig.payouts.terms.set(provider.id, { method: 'transfer' }, BROKER);
    await expect(rig.payouts.disbursing.approve(id, BROKER)).rejects.toMatchObject({ code: 'account-not-ready' });
    await withAccount(provider);
    await rig.payouts.disbursing.approve(id, BROKER);
    await rig.drive();
    expect(await payoutOf(provider)).toMatchObject({ state: 'paid', processorId: expect.stringMatching(/^tr_/) });
    const clearing = await balanceOf(till, account.clearing);
    await rig.payouts.disbursing.reverse(id, { reason: 'wrong account' }, BROKER);
    const twice = rig.payouts.disbursing.reverse(id, { reason: 'asked twice' }, BROKER);
    await expect(twice).rejects.toMatchObject({ code: 'reversal-under-way' });
    await rig.drive();
    expect(await payoutOf(provider)).toMatchObject({ state: 'reversed', message: 'wrong account' });
    expect(clearing - (await balanceOf(till, account.clearing))).toBe(usd('20'));
    expect((await state(provider)).due).toBe(usd('20'));
    expect(rig.bank.transfers.filter((t) => t.reference === id)).toMatchObject([{ reversedCents: 2_000n }]);
  });

  it('that were refused are looked up and sent again, or go back to what is due', async () => {
    const provider = await earned('9');
    await make(provider);
    await withAccount(provider);
    const { id } = await payoutOf(provider);
    rig.bank.moods.push('refused');
    await rig.payouts.disbursing.approve(id, BROKER);
    await rig.drive();
    expect(await payoutOf(provider)).toMatchObject({ state: 'failed', code: 'no' });
    await rig.payouts.disbursing.pay(id, BROKER);
    await rig.drive();
    expect(await payoutOf(provider)).toMatchObject({ state: 'paid', attempt: 2 });
    const other = await earned('3');
    await make(other);
    await rig.payouts.disbursing.cancel((await payoutOf(other)).id, 'account closed', BROKER);
    expect((await state(other)).due).toBe(usd('3'));
  });

  it('keep disputes apart until they are resolved', async () => {
    const provider = await earned('40');
    const about = {
      providerId: provider.id,
      reason: 'other' as const,
      note: 'n',
      leaseId: null,
      amountNano: usd('15'),
    };
    const first = await rig.payouts.disputes.open(about, BROKER);
    const second = await rig.payouts.disputes.open({ ...about, amountNano: usd('4') }, BROKER);
    expect(await make(provider)).toMatchObject({ payoutCents: 2_100n, disputedNano: usd('19') });
    const revenue = await balanceOf(till, account.revenue);
    await rig.payouts.disputes.resolve(first.id, 'upheld', 'it was so', BROKER);
    await rig.payouts.disputes.resolve(first.id, 'upheld', 'it was so', BROKER);
    await rig.payouts.disputes.resolve(second.id, 'dismissed', 'it was not', BROKER);
    await expect(rig.payouts.disputes.resolve(second.id, 'upheld', 'no', BROKER)).rejects.toMatchObject({
      code: 'dispute-resolved',
    });
    expect((await balanceOf(till, account.revenue)) - revenue).toBe(usd('15'));
    expect(await state(provider)).toMatchObject({ disputed: 0n, due: usd('4') });
  });

  it('notice by themselves what the terms dispute, once for each source', async () => {
    const [provider, vendor] = [await rig.provider(), await rig.provider({ kind: 'hyperscaler', registered: false })];
    for (const { id: providerId } of [provider, vendor, provider])
      await till.tx((tx) =>
        rig.payouts.disputes.notice(tx, {
          providerId,
          reason: 'failed-probe',
          note: 'no GPU',
          leaseId: 'lease_x',
          amountNano: usd('2'),
          source: `failed-start:${providerId}`,
        }),
      );
    expect((await state(provider)).disputed).toBe(0n);
    await rig.drive();
    expect(await state(provider)).toMatchObject({ disputed: usd('2'), due: -usd('2') });
    expect((await state(vendor)).disputed).toBe(0n);
  });

  it('render the same bytes each time, and a draft before', async () => {
    const provider = await earned('1.239');
    const draft = await rig.payouts.filing.draft({ as: 'worker' }, provider.id, month, 'csv');
    expect(String(Buffer.from(draft.bytes))).toContain('draft,accrual,');
    const row = await make(provider);
    const of = (format: 'pdf' | 'csv') => rig.payouts.filing.document({ as: 'worker' }, row?.id ?? '', format);
    const [pdf, again, csv] = [await of('pdf'), await of('pdf'), await of('csv')];
    expect(Buffer.from(pdf.bytes).equals(Buffer.from(again.bytes))).toBe(true);
    expect(String(Buffer.from(csv.bytes)).split('\r\n')).toContainEqual(
      expect.stringMatching(/closing balance,.*,0.009,0.00$/),
    );
  });
});
