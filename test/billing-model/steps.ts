import { expect } from '@jest/globals';
import fc from 'fast-check';
import { invoices } from '#money/billing';
import { payments, refunds } from '#money/payments';
import { storageMarks } from '#money/storage';
import { holds, quotas, type HoldRow } from '#money/quotas';
import { DomainError } from '#kernel';
import { BROKER } from '#identity/audit';
import {
  annul,
  carve,
  charge,
  correct,
  endJob,
  endLease,
  invoice,
  meter,
  monthOf,
  nextMonth,
  pay,
  queuedOf,
  refund,
  refusalOf,
  renew,
  spendOf,
  store,
  take,
  type JobBook,
  type LeaseBook,
  type TenantBook,
} from './books.js';
import type { CrashAt } from './crashing-store.js';
import { meteredBefore, type World } from './world.js';

/** One thing that happens, as plain numbers, so that a failing history can be shortened. Each number is read modulo what there is. */
export interface Step {
  readonly kind: keyof typeof happenings;
  /** Whose, and which of the tenant's jobs and leases. */
  readonly who: number;
  readonly which: number;
  readonly amount: bigint;
  readonly forMs: number;
  readonly crash: CrashAt;
}

type Happening = (world: World, step: Step) => Promise<void>;

const HOUR_MS = 3_600_000;

function at<T>(list: readonly T[], i: number): T | undefined {
  return list[i % Math.max(list.length, 1)];
}

interface Found {
  readonly job: JobBook;
  readonly lease: LeaseBook;
}

const tenantOf = (world: World, step: Step): World['tenants'][number] => {
  const tenant = at(world.tenants, step.who);
  if (!tenant) throw new Error('a world without tenants');
  return tenant;
};

const leaseOf = (world: World, step: Step): Found | undefined => {
  const all = tenantOf(world, step).book.jobs.flatMap((job) => job.leases.map((lease) => ({ job, lease })));
  // Rather one of the newer ones, which are still open.
  return at(all.slice(-4), step.which);
};

const lastIssued = (book: TenantBook): number | null => book.months.at(-1) ?? null;

function holdOf(world: World, of: JobBook | LeaseBook): HoldRow {
  const hold = world.holdOf.get(of);
  if (!hold) throw new Error('a book without a hold');
  return hold;
}

const LIMITS = expect.stringMatching(/^(budget|quota)-exceeded$/) as unknown;

const happenings = {
  /** What a step that does not matter shrinks to. */
  nothing: () => Promise.resolve(),

  /** Money comes in; the processor tells us twice. */
  async topUp(world, step) {
    const { of, book } = tenantOf(world, step);
    const key = world.name('top-up');
    const kind = step.which % 2 === 0 ? 'payment' : 'grant';
    const amount = step.amount + 1n;
    for (const crash of [step.crash, 'nowhere'] as const)
      await world.again(crash, () =>
        world.till.tx((tx) => world.till.ledger.credit(tx, of.organizationId, amount, kind, key)),
      );
    book.available += amount;
    if (kind === 'payment') book.paidIn += amount;
    else book.granted += amount;
  },

  /** A job is submitted: its cap is set aside, once, however often the request is sent. */
  async submit(world, step) {
    const { of, book } = tenantOf(world, step);
    const jobId = world.name('job');
    const asked = (): Promise<HoldRow> =>
      world.again(step.crash, () =>
        world.till.tx(
          async (tx) =>
            (await tx.first(holds, { jobId })) ??
            (await world.till.holds.take(tx, {
              ...of,
              jobId,
              amountNano: step.amount,
              quotas: { 'jobs-queued': 1n },
            })),
        ),
      );
    const no = refusalOf(book, step.amount, true);
    if (no === 'limit') await expect(asked()).rejects.toMatchObject({ code: LIMITS });
    else if (no) {
      await expect(asked()).rejects.toMatchObject({
        code: 'insufficient-credit',
        details: { facts: { missingNano: String(no.missing) } },
      });
    } else world.holdOf.set(take(book, step.amount, true), await asked());
  },

  /** A crowd asks at one moment: as many get their hold as the credit has room for. */
  async crowd(world, step) {
    const { of, book } = tenantOf(world, step);
    const clients = 2 + (step.which % 9);
    const asked = await Promise.allSettled(
      Array.from({ length: clients }, () =>
        world.till.tx((tx) => world.till.holds.take(tx, { ...of, amountNano: step.amount })),
      ),
    );
    for (const answer of asked) {
      if (answer.status === 'rejected') {
        expect(answer.reason).toMatchObject({ code: expect.stringMatching(/^(insufficient-credit|budget-exceeded)$/) });
        continue;
      }
      if (refusalOf(book, step.amount, false))
        throw new Error(`a hold of ${step.amount} was given beyond the credit or the budget`);
      world.holdOf.set(take(book, step.amount, false), answer.value);
    }
    // Nobody was sent away for whom there was room.
    if (asked.some((a) => a.status === 'rejected')) expect(refusalOf(book, step.amount, false)).not.toBeNull();
  },

  async lease(world, step) {
    const { book } = tenantOf(world, step);
    const job = at(book.jobs.slice(-4), step.which);
    if (!job) return;
    const amount = step.amount / 3n;
    const cost = 1_000_000_000n + step.amount;
    const leaseId = world.name('lease');
    const carved = await world.again(step.crash, () =>
      world.till.tx(
        async (tx) =>
          (await tx.first(holds, { leaseId })) ??
          (await world.till.holds.carve(tx, holdOf(world, job).id, leaseId, amount)),
      ),
    );
    const rates = { chargePerHour: cost + cost / 9n, costPerHour: cost };
    // Not in a month that was closed long ago.
    const lease = carve(job, amount, rates, Math.max(world.startMs, lastIssued(book) ?? 0));
    expect(carved !== null).toBe(lease !== null);
    if (!lease || !carved) return;
    world.holdOf.set(lease, carved);
    world.leaseId.set(lease, leaseId);
  },

  async renew(world, step) {
    const found = leaseOf(world, step);
    if (!found) return;
    const moved = await world.once(step.crash, () =>
      world.till.tx((tx) => world.till.holds.extend(tx, holdOf(world, found.lease), step.amount)),
    );
    const wanted = renew(found.job, found.lease, step.amount);
    if (moved !== null) expect(moved).toBe(wanted);
  },

  /** Two workers meter the same time at one moment; one is heard. */
  async meter(world, step) {
    const { of, book } = tenantOf(world, step);
    const found = leaseOf(world, step);
    if (!found || !found.lease.open) return;
    const { lease } = found;
    const [fromMs, toMs] = [lease.throughMs, lease.throughMs + step.forMs + 1];
    const interval = world.interval(of, lease, fromMs, toMs);
    const metered = (): Promise<{ chargedNano: bigint; exposureNano: bigint; costNano: bigint }> =>
      world.till.tx((tx) => world.till.metering.leaseTime(tx, interval));
    const crowd = step.which % 3 === 0 ? 2 : 1;
    const answers = await Promise.allSettled([
      world.once(step.crash, metered),
      ...Array.from({ length: crowd - 1 }, metered),
    ]);
    const wanted = meter(book, lease, toMs);
    let heard = 0;
    for (const answer of answers) {
      if (answer.status === 'rejected')
        expect(meteredBefore(answer.reason) ? 'metered before' : answer.reason).toBe('metered before');
      else if (answer.value === null) heard++;
      else {
        heard++;
        expect(answer.value).toEqual({
          chargedNano: wanted.charged,
          exposureNano: wanted.exposure,
          costNano: wanted.cost,
        });
      }
    }
    expect(heard).toBe(1);
  },

  /** The same time again, days later. */
  async meterAgain(world, step) {
    const { of } = tenantOf(world, step);
    const found = leaseOf(world, step);
    const before = found && at(found.lease.metered, step.which);
    if (!found || !before) return;
    const interval = world.interval(of, found.lease, before.fromMs, before.toMs);
    const twice = world.once(step.crash, () => world.till.tx((tx) => world.till.metering.leaseTime(tx, interval)));
    await expect(twice.catch((error: unknown) => meteredBefore(error))).resolves.toBe(true);
  },

  /** The last piece of a lease's time, and the end of its hold with it. */
  async stop(world, step) {
    const { of, book } = tenantOf(world, step);
    const found = leaseOf(world, step);
    if (!found || !found.lease.open) return;
    const { job, lease } = found;
    const toMs = lease.throughMs + (step.forMs % HOUR_MS);
    const interval = world.interval(of, lease, lease.throughMs, toMs);
    await world.once(step.crash, () => world.till.tx((tx) => world.till.metering.leaseTime(tx, interval, true)));
    if (toMs > lease.throughMs) meter(book, lease, toMs);
    endLease(book, job, lease);
  },

  /** The next month's invoice; not before every lease has been metered up to the month before it, as late usage may be. */
  async invoice(world, step) {
    const { of, book } = tenantOf(world, step);
    const last = lastIssued(book);
    const month = last === null ? monthOf(world.startMs) : nextMonth(last);
    const open = book.jobs.flatMap((j) => j.leases).filter((l) => l.open);
    if (book.charges.size === 0 || open.some((l) => nextMonth(monthOf(l.throughMs)) < month)) return;
    const { organizationId } = of;
    await world.billing.ensureDraft(organizationId, month);
    // What was voided has a later one for its usage: the month says which is meant.
    const draft = await world.till.tx((tx) => tx.first(invoices, { organizationId, periodStart: month }));
    if (!draft) throw new Error('no draft');
    const issued = await world.again(step.crash, () => world.billing.issueNow(draft.id, BROKER), step.which % 3);
    book.months.push(month);
    const wanted = invoice(book, month);
    if (!wanted) return expect(issued).toMatchObject({ state: 'void', number: null });
    expect(issued.usageNano).toBe([...wanted.usage.values()].reduce((a, n) => a + n, 0n));
    world.invoiceId.set(wanted, draft.id);
  },

  /** The money for an invoice, told of twice. */
  async pay(world, step) {
    const { book } = tenantOf(world, step);
    const found = at(
      book.invoices.filter((i) => i.state === 'open'),
      step.which,
    );
    if (!found) return;
    const payment = { method: 'manual', reference: world.name('payment'), cents: null } as const;
    const id = world.invoiceId.get(found) ?? '';
    for (const crash of [step.crash, 'nowhere'] as const)
      await world.again(crash, () => world.billing.payments.record(id, payment, BROKER));
    pay(book, found);
  },

  async correct(world, step) {
    const { book } = tenantOf(world, step);
    const found = at(
      book.invoices.filter((i) => i.state !== 'void' && i.notedCents < i.usageCents),
      step.which,
    );
    if (!found) return;
    const cents = 1n + (step.amount % (found.usageCents - found.notedCents));
    const order = { reason: 'a correction', what: { cents }, refundTo: 'credit' } as const;
    const id = world.invoiceId.get(found) ?? '';
    await world.once(step.crash, () => world.billing.corrections.credit(id, order, BROKER));
    correct(book, found, cents);
  },

  async annul(world, step) {
    const { book } = tenantOf(world, step);
    const found = at(book.invoices.filter((i) => i.state !== 'void').slice(-3), step.which);
    if (!found) return;
    const id = world.invoiceId.get(found) ?? '';
    const asked = world.again(step.crash, () => world.billing.corrections.void(id, 'a mistake', BROKER));
    if (annul(book, found)) await asked;
    else await expect(asked).rejects.toBeInstanceOf(DomainError);
  },

  /** A limit is set, raised, lowered below what is used, or taken away. */
  async limit(world, step) {
    const { of, book } = tenantOf(world, step);
    const { organizationId } = of;
    const budget = step.which % 2 === 0;
    const [dimension, per] = budget ? (['spend', 'month'] as const) : (['jobs-queued', 'ever'] as const);
    const known = await world.till.tx((tx) => tx.first(quotas, { organizationId, dimension }));
    if (known && step.which % 3 === 0) {
      await world.till.tx((tx) => world.till.quotas.remove(tx, known.id));
      if (budget) book.budget = null;
      else book.queue = null;
      return;
    }
    // Around what is used now: as often below it as above.
    const wanted = budget
      ? spendOf(book) + 3n * step.amount - 30_000_000_000n
      : queuedOf(book) + BigInt(step.which % 9) - 4n;
    const limitN = wanted > 0n ? wanted : 0n;
    const whole = { organizationId, projectId: null, scope: 'organization', scopeId: organizationId } as const;
    const plain = { mode: 'hard', policy: 'keep', cohort: null, borrowingLimit: null, lendingLimit: null } as const;
    await world.again(step.crash, () =>
      world.till.tx((tx) => world.till.quotas.set(tx, { ...whole, ...plain, dimension, per, limitN })),
    );
    if (budget) book.budget = limitN;
    else book.queue = limitN;
  },

  /** A card pays for credit; the process may die anywhere on the way. */
  async card(world, step) {
    const { of, book } = tenantOf(world, step);
    const cents = 500n + step.amount / 20_000_000n;
    await world.once(step.crash, () => world.cards.topUp(of.organizationId, cents));
    const { organizationId } = of;
    const begun = await world.till.tx((tx) => tx.first(payments, { organizationId, state: 'intended' }));
    if (!begun) throw new Error('the payment was not begun');
    await world.again(step.crash, () => world.drive('payment', begun.id), step.which % 5);
    charge(book, begun.id, cents);
  },

  /** A part of it goes back, if it is there to go back. */
  async refund(world, step) {
    const { of, book } = tenantOf(world, step);
    const { organizationId } = of;
    const card = at(book.cards, step.which);
    if (!card) return;
    const cents = 1n + step.amount / 30_000_000n;
    const asked = world.once(step.crash, () => world.cards.refund(card.id, cents));
    if (!refund(book, card, cents)) return expect(asked).rejects.toBeInstanceOf(DomainError);
    await asked;
    const begun = await world.till.tx((tx) => tx.first(refunds, { organizationId, state: 'intended' }));
    if (!begun) throw new Error('the refund was not begun');
    await world.again(step.crash, () => world.drive('refund', begun.id), step.which % 5);
  },

  /** Files are kept for an hour, and the hour is metered; where the credit does not cover it, it waits. */
  async keep(world, step) {
    const { of, book } = tenantOf(world, step);
    const { organizationId } = of;
    book.keptByteMs += step.amount * BigInt(HOUR_MS);
    const first = Math.floor(world.startMs / HOUR_MS) * HOUR_MS;
    const row = { organizationId, chargedThrough: first, month: monthOf(first), freeMbHours: 0n, freeBytes: 0n };
    await world.till.tx((tx) => tx.insertNew(storageMarks, [{ ...row, version: 1, wakeAt: first }]));
    const hourOf = async (): Promise<number> =>
      (await world.till.tx((tx) => tx.first(storageMarks, { organizationId })))?.chargedThrough ?? 0;
    const hour = await hourOf();
    await world.once(step.crash, () => world.storage.step(organizationId));
    // The history is years old: what is charged so late counts when it is charged.
    const covered = store(book, await world.till.tx((tx) => tx.now()));
    expect(await hourOf()).toBe(covered ? hour + HOUR_MS : hour);
  },

  async endJob(world, step) {
    const { book } = tenantOf(world, step);
    const job = at(book.jobs.slice(-4), step.which);
    if (!job) return;
    await world.again(step.crash, () => world.till.tx((tx) => world.till.holds.settle(tx, holdOf(world, job).id)));
    endJob(book, job);
  },
} satisfies Record<string, Happening>;

/** How often each thing happens, beside the others. */
const often: Readonly<Record<keyof typeof happenings, number>> = {
  nothing: 1,
  topUp: 3,
  submit: 4,
  crowd: 1,
  lease: 5,
  renew: 3,
  meter: 8,
  meterAgain: 1,
  stop: 3,
  invoice: 3,
  pay: 1,
  correct: 1,
  annul: 1,
  limit: 2,
  card: 1,
  refund: 1,
  keep: 2,
  endJob: 2,
};

export const happen = (world: World, step: Step): Promise<void> => happenings[step.kind](world, step);

const kinds = Object.keys(happenings) as readonly (keyof typeof happenings)[];

/** So many steps, of any kind, with amounts up to some dollars and times from a millisecond to two months. */
export function history(steps: number): fc.Arbitrary<Step[]> {
  return fc.array(
    fc.record({
      kind: fc.oneof(
        { withCrossShrink: true },
        ...kinds.map((kind) => ({ weight: often[kind], arbitrary: fc.constant(kind) })),
      ),
      who: fc.nat(7),
      which: fc.nat(100),
      amount: fc.bigInt({ min: 1n, max: 30_000_000_000n }),
      forMs: fc.oneof(fc.nat(HOUR_MS), fc.nat(1_500 * HOUR_MS)),
      crash: fc.oneof(
        { weight: 6, arbitrary: fc.constant<CrashAt>('nowhere') },
        { weight: 1, arbitrary: fc.constant<CrashAt>('inside') },
        { weight: 1, arbitrary: fc.constant<CrashAt>('after') },
      ),
    }),
    { minLength: steps, maxLength: steps },
  );
}
