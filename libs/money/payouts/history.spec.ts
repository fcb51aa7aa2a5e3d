import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DAY, HOUR, ManualClock, usd } from '#kernel';
import { BROKER } from '#identity/audit';
import { MemoryStore } from '#platform/database';
import { account } from '#money/ledger';
import { usageRecords } from '#money/metering';
import { NANO_PER_CENT } from '#money/billing';
import { openTill } from '#testing/till';
import { disputes, holdbacks, movements, payouts as payoutRows, statementLines, statements } from './index.js';
import { balanceOf, earn, openPayouts, type Mood } from '#testing/payouts';

const START = Date.UTC(2026, 0, 1);
const month = (n: number): number => Date.UTC(2026, n, 1);
const sum = <T>(all: readonly T[], of: (one: T) => bigint): bigint => all.reduce((a, one) => a + of(one), 0n);

const moods: readonly Mood[] = ['ok', 'ok', 'lost', 'never', 'retry', 'refused', 'dies'];
const amount = fc.bigInt({ min: 1n, max: usd('40') });
const pick = fc.nat(50);

/** What may happen; which row it happens to is picked among those that there are. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('earn' as const), nano: amount, late: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('dispute' as const), nano: amount }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('adjust' as const), nano: fc.bigInt({ min: -9n, max: usd('9') }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('notice' as const), nano: amount, source: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('resolve' as const), pick, upheld: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('pay' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('mark paid' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), pick }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('reverse' as const),
      pick,
      cents: fc.option(fc.bigInt({ min: 1n, max: 900n })),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('mood' as const), mood: fc.constantFrom(...moods) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('drive' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('state' as const) }) },
);

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

async function live(months: readonly (readonly Step[])[], holdbackBps: number, minimumCents: bigint) {
  const clock = new ManualClock(START);
  const till = await openTill({ store: new MemoryStore(clock), clock });
  const rig = openPayouts(till, clock);
  const tenant = await till.tenant('0');
  const provider = await rig.provider();
  const { id: providerId, organizationId } = provider;
  const { disbursing, terms, accounts: payees, disputes: disputing } = rig.payouts;
  await payees.begin(organizationId, { country: 'DE', email: null }, BROKER);
  await rig.drive();
  await terms.set(providerId, { method: 'transfer', holdbackBps, holdbackDays: 9, minimumCents }, BROKER);
  const refused = () => undefined;
  const own = <T>(all: readonly T[], n: number): T | undefined => all[n % Math.max(1, all.length)];
  const paid = (n: number) => till.tx(async (tx) => own(await tx.find(payoutRows, {}), n)?.id ?? 'po_none');
  const make = (m: number) => rig.payouts.statements.make(providerId, month(m), BROKER).catch(refused);
  const about = { providerId, note: 'n', leaseId: null };

  for (const [m, steps] of months.entries()) {
    clock.set(Math.max(clock.now(), month(m)));
    for (const s of steps) {
      clock.set(clock.now() + 7 * HOUR);
      if (s.do === 'earn') {
        const fromMs = month(s.late && m > 0 ? m - 1 : m) + 2 * DAY;
        await earn(till, tenant, { providerId, fromMs, amountNano: s.nano });
      }
      if (s.do === 'dispute') await disputing.open({ ...about, reason: 'other', amountNano: s.nano }, BROKER);
      if (s.do === 'adjust')
        await till.tx((tx) =>
          till.ledger.post(tx, {
            idempotencyKey: `adjust:${clock.now()}`,
            kind: 'vendor-difference',
            organizationId: null,
            reference: 'r',
            entries: [
              { accountId: account.payable(providerId), amountNano: s.nano },
              { accountId: account.vendorDifferences, amountNano: -s.nano },
            ],
          }),
        );
      if (s.do === 'notice')
        await till.tx((tx) =>
          disputing.notice(tx, { ...about, reason: 'sla-breach', amountNano: s.nano, source: `s${s.source}` }),
        );
      if (s.do === 'resolve') {
        const row = await till.tx(async (tx) => own(await tx.find(disputes, {}), s.pick));
        if (row) await disputing.resolve(row.id, s.upheld ? 'upheld' : 'dismissed', 'r', BROKER).catch(refused);
      }
      if (s.do === 'release') await rig.payouts.release();
      if (s.do === 'pay') await disbursing.pay(await paid(s.pick), BROKER).catch(refused);
      if (s.do === 'mark paid') await disbursing.markPaid(await paid(s.pick), 'wire', BROKER).catch(refused);
      if (s.do === 'cancel') await disbursing.cancel(await paid(s.pick), 'r', BROKER).catch(refused);
      if (s.do === 'reverse')
        await disbursing
          .reverse(await paid(s.pick), { reason: 'r', ...(s.cents === null ? {} : { amountCents: s.cents }) }, BROKER)
          .catch(refused);
      if (s.do === 'mood') rig.bank.moods.push(s.mood);
      if (s.do === 'drive') await rig.drive();
      if (s.do === 'state' && m > 0) await make(m - 1);
    }
    clock.set(Math.max(clock.now(), month(m + 1)));
    // Two workers at once.
    await Promise.all([make(m), make(m)]);
  }
  rig.bank.moods.length = 0;
  // All that is under way comes to its end; keys are forgotten meanwhile.
  for (let n = 0; n < 6; n++) {
    await rig.drive();
    clock.advance(6 * HOUR);
  }
  expect(rig.failures).toEqual([]);
  return { till, rig, providerId };
}

describe('histories of payouts', () => {
  it('leave statements that add up, books that say the same, and no cent paid twice', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { maxLength: 14 }), { minLength: 1, maxLength: 4 }),
        fc.nat(3_000),
        fc.bigInt({ min: 1n, max: 4_000n }),
        async (months, holdbackBps, minimumCents) => {
          const { till, rig, providerId } = await live(months, holdbackBps, minimumCents);
          const all = await till.tx(async (tx) => ({
            moved: await tx.find(movements, { providerId }),
            stated: await tx.find(statements, { providerId }, { orderBy: [['periodStart', 'asc']] }),
            lines: await tx.find(statementLines, { providerId }),
            held: await tx.find(holdbacks, { providerId }),
            disputed: await tx.find(disputes, { providerId }),
            paid: await tx.find(payoutRows, { providerId }),
            used: await tx.find(usageRecords, { providerId, side: 'cost' }),
          }));

          // Each statement begins where the one before ended, and its lines are what lies between.
          let before = { closingNano: 0n, closingCents: 0n };
          for (const s of all.stated) {
            const lines = all.lines.filter((l) => l.statementId === s.id);
            expect([s.openingNano, s.openingCents]).toEqual([before.closingNano, before.closingCents]);
            expect(sum(lines, (l) => l.amountNano)).toBe(s.closingNano - s.openingNano);
            expect(sum(lines, (l) => l.cents)).toBe(s.closingCents - s.openingCents);
            for (const l of lines) {
              const off = l.cents * NANO_PER_CENT - l.amountNano;
              expect(off > -NANO_PER_CENT && off < NANO_PER_CENT).toBe(true);
            }
            // What is on it is what the ledger moved for it.
            const claimed = all.moved.filter((x) => x.statementId === s.id);
            expect(sum(claimed, (x) => x.amountNano)).toBe(sum(lines, (l) => l.amountNano));
            before = s;
          }

          // The balance is the sum of all movements, on statements or not yet.
          const due = await balanceOf(till, account.due(providerId));
          expect(due).toBe(sum(all.moved, (x) => x.amountNano));
          expect(due - before.closingNano).toBe(
            sum(
              all.moved.filter((x) => x.statementId === null),
              (x) => x.amountNano,
            ),
          );

          // Each record, and each accepted difference, is stated once or is still payable.
          const accrued = all.lines.filter((l) => l.kind === 'accrual' || l.kind === 'adjustment');
          const differences = await balanceOf(till, account.vendorDifferences);
          const owed = sum(all.used, (r) => r.amountNano) - differences - sum(accrued, (l) => l.amountNano);
          expect(await balanceOf(till, account.payable(providerId))).toBe(owed);

          // What is kept back, in dispute and set aside is what the rows say.
          expect(await balanceOf(till, account.holdback(providerId))).toBe(
            sum(
              all.held.filter((h) => h.releasedAt === null),
              (h) => h.amountNano,
            ),
          );
          expect(await balanceOf(till, account.disputed(providerId))).toBe(
            sum(
              all.disputed.filter((d) => d.state === 'open'),
              (d) => d.amountNano,
            ),
          );
          const open = all.paid.filter((p) => !['paid', 'reversed', 'canceled'].includes(p.state));
          expect(await balanceOf(till, account.payouts)).toBe(sum(open, (p) => p.amountCents) * NANO_PER_CENT);

          // The processor moved each payout at most once, and the books know all of it.
          const references = rig.bank.transfers.map((t) => t.reference);
          expect(new Set(references).size).toBe(references.length);
          expect(await balanceOf(till, account.clearing)).toBe(rig.bank.paidCents * NANO_PER_CENT);
          const byHand = all.paid.filter((p) => p.state === 'paid' && p.processorId === null);
          const kept = sum(byHand, (p) => p.amountCents - p.reversedCents);
          expect(await balanceOf(till, account.cash)).toBe(kept * NANO_PER_CENT);
          for (const t of rig.bank.transfers)
            expect(all.paid.find((p) => p.processorId === t.id)?.reversedCents).toBe(t.reversedCents);
          for (const p of byHand) expect(references).not.toContain(p.id);
          await till.audit();
        },
      ),
      { numRuns: 250 },
    );
  }, 240_000);
});
