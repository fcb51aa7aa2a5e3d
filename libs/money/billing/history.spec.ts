import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DAY, HOUR, ManualClock, usd } from '#kernel';
import { BROKER } from '#identity/audit';
import { MemoryStore } from '#platform/database';
import { account, entries } from '#money/ledger';
import { usageRecords } from '#money/metering';
import { openTill } from '#testing/till';
import { charge, openBilling, payAfterwards } from './billing.fixture.js';
import { creditNotes, invoiceLines, invoicePayments, invoices, NANO_PER_CENT, openCents } from './index.js';

const START = Date.UTC(2026, 0, 1);
const month = (n: number): number => Date.UTC(2026, n, 1);
const sum = <T>(all: readonly T[], of: (one: T) => bigint): bigint => all.reduce((a, one) => a + of(one), 0n);

/** What may happen in a month; each step begins where the clock stands. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('use' as const), nano: fc.bigInt({ min: 1n, max: usd('40') }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('use late' as const), nano: fc.bigInt({ min: 1n, max: usd('9') }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pay' as const), cents: fc.bigInt({ min: 1n, max: 9_000n }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('credit' as const), cents: fc.bigInt({ min: 1n, max: 2_000n }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('void' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('write off' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('top up' as const), nano: fc.bigInt({ min: 1n, max: usd('50') }) }),
  },
);

describe('histories of invoices', () => {
  it('leave every record on one invoice, every invoice the sum of its lines, and the ledger saying the same', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { maxLength: 7 }), { minLength: 1, maxLength: 3 }),
        fc.nat(2_500),
        async (months, taxRateBps) => {
          const clock = new ManualClock(START);
          const till = await openTill({ store: new MemoryStore(clock), clock });
          const { billing } = openBilling(till, clock);
          const tenant = await till.tenant('5');
          const { organizationId } = tenant;
          await payAfterwards(till, tenant, usd('10000'));
          const terms = { name: 'x', address: [], taxId: null, email: null, taxLabel: 'Tax', netDays: null };
          await billing.profiles.set(organizationId, { ...terms, taxRateBps }, BROKER);
          const issued = async () =>
            (await till.tx((tx) => tx.find(invoices, { organizationId }, { orderBy: [['periodStart', 'desc']] }))).find(
              (i) => i.number !== null,
            );
          let n = 0;
          for (const [m, steps] of months.entries()) {
            for (const s of steps) {
              clock.set(Math.max(clock.now(), month(m) + 3 * DAY) + HOUR);
              const refused = () => undefined;
              const target = s.do.startsWith('use') || s.do === 'top up' ? undefined : await issued();
              if (s.do === 'use') await charge(till, tenant, { fromMs: month(m) + 2 * DAY, amountNano: s.nano });
              if (s.do === 'use late' && m > 0)
                await charge(till, tenant, { fromMs: month(m - 1) + DAY, amountNano: s.nano, resource: 'L4 x1' });
              if (s.do === 'top up')
                await till.tx((tx) => till.ledger.credit(tx, organizationId, s.nano, 'payment', `top-up:${++n}`));
              if (!target) continue;
              const { id } = target;
              if (s.do === 'pay')
                await billing.payments
                  .record(id, { method: 'manual', reference: `p${++n}`, cents: s.cents }, BROKER)
                  .catch(refused);
              if (s.do === 'credit')
                await billing.corrections
                  .credit(
                    id,
                    { reason: 'x', what: { cents: s.cents }, refundTo: n++ % 2 ? 'credit' : 'payment' },
                    BROKER,
                  )
                  .catch(refused);
              if (s.do === 'void') await billing.corrections.void(id, 'x', BROKER).catch(refused);
              if (s.do === 'write off') await billing.payments.writeOff(id, 'x', BROKER).catch(refused);
            }
            await billing.ensureDraft(organizationId, month(m));
            clock.set(month(m + 1) + 2 * DAY + HOUR);
            for (const { id } of await till.tx((tx) => tx.find(invoices, { organizationId, state: 'draft' })))
              await billing.issueNow(id, BROKER);
          }
          await till.audit();
          const next = await billing.preview({ as: 'worker' }, organizationId, month(months.length));
          await till.tx(async (tx) => {
            const all = await tx.find(invoices, { organizationId });
            const lines = await tx.find(invoiceLines, { organizationId });
            for (const i of all.filter((one) => one.frozenAt !== null)) {
              const own = lines.filter((l) => l.invoiceId === i.id);
              expect([sum(own, (l) => l.amountNano), sum(own, (l) => l.cents)]).toEqual([i.usageNano, i.usageCents]);
              expect(i.dueCents).toBe(i.totalCents - i.fromCreditCents);
              expect(openCents(i) >= 0n).toBe(true);
            }
            // What stands on invoices that count, and what the next one would take up, is all that was used.
            const counted = all.filter((i) => i.number !== null && i.state !== 'void');
            const used = sum(await tx.find(usageRecords, { organizationId, side: 'charge' }), (r) => r.amountNano);
            expect(sum(counted, (i) => i.usageNano) + next.usageNano).toBe(used);
            // The ledger: receivable is what is open, and revenue was taken back by what was credited.
            const posted = await tx.find(entries, {});
            const balance = (id: string): bigint =>
              sum(
                posted.filter((e) => e.accountId === id),
                (e) => e.amountNano,
              );
            const open = counted.filter((i) => i.state === 'open' || i.state === 'past_due');
            expect(balance(account.receivable(organizationId))).toBe(-sum(open, openCents) * NANO_PER_CENT);
            const notes = await tx.find(creditNotes, { organizationId });
            const tax = sum(counted, (i) => i.taxCents) - sum(notes, (c) => c.taxCents);
            expect(balance(account.tax)).toBe(tax * NANO_PER_CENT);
            const paid = await tx.find(invoicePayments, { organizationId });
            for (const i of counted)
              expect(
                sum(
                  paid.filter((p) => p.invoiceId === i.id),
                  (p) => p.cents,
                ),
              ).toBe(i.paidCents);
            const pending = notes.filter((c) => c.refundState === 'pending');
            expect(balance(account.refunds)).toBe(sum(pending, (c) => c.refundCents) * NANO_PER_CENT);
          });
        },
      ),
      { numRuns: 40 },
    );
  });
});
