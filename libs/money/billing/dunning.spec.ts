import { beforeEach, describe, expect, it } from '@jest/globals';
import { DAY, HOUR, ManualClock, MINUTE, newId, usd } from '#kernel';
import { MemoryStore, outbox, WORKER } from '#platform/database';
import { account } from '#money/ledger';
import { monthStart } from '#money/metering';
import { openTill, type Tenant, type Till } from '#testing/till';
import { charge, openBilling, payAfterwards } from './billing.fixture.js';
import { defaultBillingSettings, dunningDue, dunningSteps, invoices, requireStanding, standingOf } from './index.js';

const by = { keyId: newId('key'), organizationId: newId('organization'), requestId: null, address: null };
const steps = dunningSteps(defaultBillingSettings);

describe('the dunning schedule', () => {
  it('reminds at the due date, after 3 and 7 days, pauses after 7 and stops after 14', () => {
    expect(steps.map((s) => [s.days, s.action])).toEqual([
      [0, 'remind'],
      [3, 'remind'],
      [7, 'remind'],
      [7, 'pause'],
      [14, 'stop'],
    ]);
  });

  it('takes each step once, and what was missed at once', () => {
    const at = (dunned: number, days: number) => dunningDue(steps, { dueAt: 0, dunned }, days * DAY);
    expect(at(0, -1)).toEqual({ take: [], nextAt: 0 });
    expect(at(0, 0).take.map((s) => s.days)).toEqual([0]);
    expect(at(1, 2)).toEqual({ take: [], nextAt: 3 * DAY });
    expect(at(1, 7).take.map((s) => s.action)).toEqual(['remind', 'remind', 'pause']);
    expect(at(5, 99)).toEqual({ take: [], nextAt: null });
  });

  it('lets the invoice that is late for longest decide', () => {
    const late = (id: string, days: number) => ({ id, dueAt: -days * DAY });
    const levels = (...rows: { id: string; dueAt: number }[]) => standingOf(rows, defaultBillingSettings, 0);
    expect(levels()).toBeNull();
    expect(levels(late('a', 6.9))).toBeNull();
    expect(levels(late('a', 7), late('b', 2))).toEqual({ invoiceId: 'a', level: 'pause' });
    expect(levels(late('b', 8), late('a', 14))).toEqual({ invoiceId: 'a', level: 'stop' });
  });
});

describe('an unpaid invoice', () => {
  const clock = new ManualClock(Date.UTC(2026, 10, 21));
  const last = monthStart(monthStart(clock.now()) - 1);
  let till: Till;
  let made: ReturnType<typeof openBilling>;
  let tenant: Tenant;
  let id: string;
  let stopped: string[];
  let paused: boolean[];

  beforeEach(async () => {
    clock.set(Date.UTC(2026, 10, 21));
    till = await openTill({ store: new MemoryStore(clock), clock });
    made = openBilling(till, clock);
    tenant = await till.tenant('0');
    await payAfterwards(till, tenant, usd('100'));
    await charge(till, tenant, { fromMs: last + HOUR, amountNano: usd('10') });
    await made.billing.ensureDraft(tenant.organizationId, last);
    const row = await till.tx((tx) => tx.first(invoices, { organizationId: tenant.organizationId }));
    id = row?.id ?? '';
    [stopped, paused] = [[], []];
    await made.billing.issueNow(id, by);
  });

  const reconciler = () =>
    made.billing.reconciler(async (organizationId) => {
      paused.push((await refusal()) !== null);
      stopped.push(organizationId);
    });
  const refusal = (): Promise<unknown> =>
    till.tx((tx) =>
      requireStanding(tx, tenant.organizationId).then(
        () => null,
        (error: unknown) => error,
      ),
    );
  /** Lives so many days after the due date, a worker looking every six hours. */
  const until = async (days: number): Promise<void> => {
    const end = clock.now() + (14 + days) * DAY + MINUTE;
    for (; clock.now() < end; clock.set(Math.min(end, clock.now() + 6 * HOUR)))
      while ((await reconciler().step(id)) === 'again');
    while ((await reconciler().step(id)) === 'again');
  };
  const topics = async (): Promise<string[]> =>
    (await till.tx((tx) => tx.find(outbox, {}, { orderBy: [['createdAt', 'asc']] }))).map((e) => e.topic);

  it('of which a part was paid and taken back goes on as it was: the rest was late anyway', async () => {
    const paid = { method: 'processor', reference: 'pay_1', cents: 400n } as const;
    await made.billing.payments.record(id, paid, by);
    await until(1);
    const back = { payment: 'pay_1', reference: 'dsp_1', cents: 400n, to: account.clearing };
    await till.tx((tx) => made.billing.takenBack.takeBackIn(tx, id, back, by));
    expect(await till.tx((tx) => tx.first(invoices, { id }))).toMatchObject({ state: 'past_due', paidCents: 0n });
    await until(15 - 1 - 14);
    expect(await refusal()).toMatchObject({ code: 'invoice-past-due', details: { facts: { level: 'stop' } } });
    expect(stopped).toEqual([tenant.organizationId]);
  });

  it('is reminded of, and refuses new work a week after its date', async () => {
    await until(6);
    expect(await refusal()).toBeNull();
    expect(await till.tx((tx) => tx.first(invoices, { id }))).toMatchObject({ state: 'past_due', dunned: 2 });
    await until(7 - 6 - 14);
    expect(await refusal()).toMatchObject({
      kind: 'payment-required',
      code: 'invoice-past-due',
      message: expect.stringMatching(/is unpaid: \$10\.00 were due on 2026-12-05/) as unknown,
    });
    expect(stopped).toEqual([]);
    expect(await topics()).toEqual([
      'invoice.issued',
      'invoice.reminder',
      'invoice.reminder',
      'invoice.reminder',
      'organization.paused',
    ]);
  });

  it('ends running work after two weeks, and new work had been refused before', async () => {
    clock.advance(40 * DAY);
    while ((await reconciler().step(id)) === 'again');
    expect([stopped, paused]).toEqual([[tenant.organizationId], [true]]);
    expect(await till.tx((tx) => tx.first(invoices, { id }))).toMatchObject({ dunned: 5, wakeAt: null });
  });

  it('is forgotten as soon as it is paid', async () => {
    await until(8);
    expect(await refusal()).not.toBeNull();
    await made.billing.payments.record(id, { method: 'manual', reference: 'bank', cents: null }, by);
    expect(await refusal()).toBeNull();
    expect((await topics()).slice(-2).sort()).toEqual(['invoice.paid', 'organization.resumed']);
    while ((await reconciler().step(id)) === 'again');
    expect(await till.store.transaction(WORKER, (tx) => tx.first(invoices, { id }))).toMatchObject({
      state: 'paid',
      wakeAt: null,
    });
  });
});
