import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DAY, MINUTE, SeededRandom, usd } from '#kernel';
import { BROKER } from '#identity/audit';
import { account } from '#money/ledger';
import { monthStart } from '#money/metering';
import { payoutAccounts, payoutReversals, payouts, type PayoutRow } from '#money/payouts';
import { earn, openPayouts } from '#testing/payouts';
import { faultKinds } from './faults.js';
import { openRig, type Rig } from './rig.js';

let rig: Rig;
let desk: ReturnType<typeof openPayouts>;
beforeEach(async () => {
  rig = await openRig();
  rig.standIn.world.availableAtOnce = true;
  desk = openPayouts(rig.till, rig.clock, { port: rig.port });
  rig.payments.onEvent(desk.payouts.onEvent);
});
afterEach(async () => {
  await rig.till.audit();
  await rig.close();
  expect([...rig.failures, ...desk.failures]).toEqual([]);
  expect(rig.standIn.mistakes).toEqual([]);
});

/** Somebody's card brings money to Stripe, out of which providers are paid. */
async function fund(cents: bigint): Promise<void> {
  const { organizationId } = await rig.payer();
  await rig.payments.topUp(organizationId, cents);
  await rig.rest();
  await told();
}
const told = async (random?: SeededRandom): Promise<void> => {
  await rig.standIn.webhooks.deliver(random ? { shuffle: random, copies: 3 } : {});
  await rig.drive();
  await desk.drive();
};
/** Drives and lets time pass until no payout wants anything soon. */
async function rest(): Promise<void> {
  for (let n = 0; n < 500; n++) {
    await desk.drive();
    const rows = await rig.tx(async (tx) => [
      ...(await tx.find(payouts, { wakeAt: { isNull: false } })),
      ...(await tx.find(payoutReversals, { wakeAt: { isNull: false } })),
    ]);
    if (rows.length === 0) return;
    rig.clock.set(Math.max(rig.clock.now(), ...rows.map((r) => r.wakeAt ?? 0)));
  }
  throw new Error('it never rests');
}
/** A provider's account, made and not yet ready. */
async function opened() {
  const provider = await desk.provider();
  const terms = { method: 'transfer' as const, holdbackBps: 0, holdbackDays: 0, minimumCents: 1n };
  await desk.payouts.terms.set(provider.id, terms, BROKER);
  await desk.payouts.accounts.begin(provider.organizationId, { country: 'DE', email: 'p@example.com' }, BROKER);
  await desk.drive();
  const accountRow = () => rig.tx((tx) => tx.first(payoutAccounts, { organizationId: provider.organizationId }));
  return { provider, accountRow, processorId: (await accountRow())?.processorId ?? '' };
}
/** A provider that may be paid and earned $12.34 in October. */
async function earned(): Promise<{ providerId: string; payout: () => Promise<PayoutRow> }> {
  const { provider, processorId } = await opened();
  rig.standIn.completeAccount(processorId);
  await told();
  const october = monthStart(monthStart(rig.clock.now()) - 1);
  const tenant = await rig.till.tenant('0');
  await earn(rig.till, tenant, { providerId: provider.id, fromMs: october + 2 * DAY, amountNano: usd('12.34') });
  await desk.payouts.statements.make(provider.id, october, BROKER);
  return {
    providerId: provider.id,
    async payout() {
      const row = await rig.tx((tx) => tx.first(payouts, { providerId: provider.id }));
      if (!row) throw new Error('no payout');
      return row;
    },
  };
}
const transfers = () => rig.standIn.objects('transfer').map((t) => [t['amount'], t['amount_reversed']]);
const due = (providerId: string) => rig.balanceCents(account.due(providerId));

describe('payouts through Stripe', () => {
  it('go to nobody before the owner has told who it is, and Stripe’s word opens the way', async () => {
    const { provider, accountRow, processorId } = await opened();
    expect(await accountRow()).toMatchObject({ state: 'incomplete' });
    expect((await accountRow())?.requirements.length).toBeGreaterThan(0);
    const urls = { returnUrl: 'https://b/r', refreshUrl: 'https://b/f' };
    const link = await desk.payouts.accounts.link({ as: 'worker' }, provider.organizationId, urls);
    expect(link.url).toMatch(/^https:/);
    rig.standIn.completeAccount(processorId);
    await told(new SeededRandom('account'));
    expect(await accountRow()).toMatchObject({ state: 'ready', requirements: [], wakeAt: null });
  });

  it.each(faultKinds)('are paid once, whatever becomes of the call: %s', async (fault) => {
    await fund(5_000n);
    const { payout, providerId } = await earned();
    rig.standIn.faults.plan(fault, /POST \/v1\/transfers$/, 2);
    const clearing = await rig.balanceCents(account.clearing);
    await desk.payouts.disbursing.approve((await payout()).id, BROKER);
    await desk.drive();
    rig.standIn.faults.release();
    await rest();
    await told(new SeededRandom(fault));
    expect(await payout()).toMatchObject({ state: 'paid', wakeAt: null });
    expect(transfers()).toEqual([[1_234, 0]]);
    expect([(await rig.balanceCents(account.clearing)) - clearing, await due(providerId)]).toEqual([1_234n, 0n]);
  });

  it('survive processes that die between the call and its booking', async () => {
    await fund(5_000n);
    const { payout } = await earned();
    await desk.payouts.disbursing.approve((await payout()).id, BROKER);
    rig.crash(2);
    for (let n = 0; n < 4; n++) {
      await desk.drive().catch(() => undefined);
      rig.clock.advance(2 * MINUTE);
    }
    expect(desk.failures.splice(0)).toHaveLength(2);
    await rest();
    expect((await payout()).state).toBe('paid');
    expect(transfers()).toEqual([[1_234, 0]]);
  });

  it('wait for money at Stripe, and go when they are asked for again', async () => {
    const { payout } = await earned();
    const { id } = await payout();
    await desk.payouts.disbursing.approve(id, BROKER);
    await rest();
    expect(await payout()).toMatchObject({ state: 'failed', code: 'balance_insufficient' });
    await fund(5_000n);
    await desk.payouts.disbursing.pay(id, BROKER);
    await rest();
    expect((await payout()).state).toBe('paid');
    expect(transfers()).toEqual([[1_234, 0]]);
  });

  it.each(faultKinds)('are taken back once: %s', async (fault) => {
    await fund(5_000n);
    const { payout, providerId } = await earned();
    const { id } = await payout();
    const clearing = await rig.balanceCents(account.clearing);
    await desk.payouts.disbursing.approve(id, BROKER);
    await rest();
    rig.standIn.faults.plan(fault, /POST \/v1\/transfers\/.*\/reversals/, 2);
    await desk.payouts.disbursing.reverse(id, { reason: 'wrong account' }, BROKER);
    await desk.drive();
    rig.standIn.faults.release();
    await rest();
    await told(new SeededRandom(fault));
    expect((await payout()).state).toBe('reversed');
    expect(transfers()).toEqual([[1_234, 1_234]]);
    expect([await rig.balanceCents(account.clearing), await due(providerId)]).toEqual([clearing, 1_234n]);
  });

  it('that somebody reverses while no event of it ever arrives are found by looking, once', async () => {
    await fund(10_000n);
    const { providerId, payout } = await earned();
    await desk.payouts.disbursing.approve((await payout()).id, BROKER);
    await rest();
    const transferId = (await payout()).processorId ?? '';
    expect(await desk.payouts.sweepReversals()).toBe(0);
    await rig.port.reverseTransfer({ key: 'page', reference: 'page', transferId, amountCents: 234n });
    expect(await desk.payouts.sweepReversals()).toBe(1);
    await rest();
    expect(await payout()).toMatchObject({ state: 'paid', reversedCents: 234n });
    expect(await due(providerId)).toBe(234n);
    expect(await desk.payouts.sweepReversals()).toBe(0);
    // What comes after all changes nothing.
    await told(new SeededRandom('late'));
    await rest();
    expect(await payout()).toMatchObject({ reversedCents: 234n });
    // A transfer that is not ours, and one that is older than what is looked at, wake nobody.
    await rig.port.transfer({
      key: 'x',
      reference: 'x',
      accountId: (await payout()).accountId ?? '',
      amountCents: 100n,
    });
    const other = rig.standIn.objects('transfer').find((t) => t['amount'] === 100);
    await rig.port.reverseTransfer({ key: 'y', reference: 'y', transferId: other?.id ?? '', amountCents: 100n });
    expect(await desk.payouts.sweepReversals()).toBe(0);
    await rig.port.reverseTransfer({ key: 'z', reference: 'z', transferId, amountCents: 1_000n });
    rig.clock.set(rig.clock.now() + 181 * DAY);
    expect(await desk.payouts.sweepReversals()).toBe(0);
  });

  it('that somebody reverses in Stripe’s own pages are due again, once', async () => {
    await fund(5_000n);
    const { payout, providerId } = await earned();
    await desk.payouts.disbursing.approve((await payout()).id, BROKER);
    await rest();
    const transferId = (await payout()).processorId ?? '';
    await rig.port.reverseTransfer({ key: 'page', reference: 'page', transferId, amountCents: 1_234n });
    await told(new SeededRandom('pages'));
    await rest();
    expect((await payout()).state).toBe('reversed');
    expect(await due(providerId)).toBe(1_234n);
  });

  it.each(faultKinds)(
    'are taken back in parts, each once, with what somebody takes back in Stripe’s own pages: %s',
    async (fault) => {
      await fund(5_000n);
      const { payout, providerId } = await earned();
      const { id } = await payout();
      const clearing = await rig.balanceCents(account.clearing);
      await desk.payouts.disbursing.approve(id, BROKER);
      await rest();
      rig.standIn.faults.plan(fault, /POST \/v1\/transfers\/.*\/reversals/, 1);
      await desk.payouts.disbursing.reverse(id, { reason: 'a lease too many', amountCents: 300n }, BROKER);
      await desk.drive();
      rig.standIn.faults.release();
      const transferId = (await payout()).processorId ?? '';
      await rig.port.reverseTransfer({ key: 'page', reference: 'page', transferId, amountCents: 200n });
      await rest();
      await told(new SeededRandom(fault));
      expect(await payout()).toMatchObject({ state: 'paid', reversedCents: 500n });
      expect(await due(providerId)).toBe(500n);
      await desk.payouts.disbursing.reverse(id, { reason: 'all the rest' }, BROKER);
      await rest();
      await told(new SeededRandom(`${fault} again`));
      expect(await payout()).toMatchObject({ state: 'reversed', reversedCents: 1_234n });
      expect(transfers()).toEqual([[1_234, 1_234]]);
      expect([await rig.balanceCents(account.clearing), await due(providerId)]).toEqual([clearing, 1_234n]);
    },
  );
});
