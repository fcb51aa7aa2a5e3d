import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, formatUsd, usd } from '#kernel';
import { COLLECT_AGAIN_AFTER_DAYS, decideCollection, decideRecharge, TOP_UP_CENTS } from '#money/payments';
import { NANO_PER_CENT } from '#money/billing';
import { openRig, type Rig } from './rig.js';

const document = readFileSync(new URL('../../../docs/billing.md', import.meta.url), 'utf8');
const section = /## Paying\n([\s\S]*?)(?=\n## |$)/.exec(document)?.[1] ?? '';

/** The rows of the table whose first title begins so. */
function rows(title: string): string[][] {
  const table = section.split('\n\n').find((part) => part.startsWith(`| example: ${title}`));
  if (table === undefined) throw new Error(`docs/billing.md has no example of ${title}`);
  const lines = table.trim().split('\n').slice(2);
  expect(lines.length).toBeGreaterThan(2);
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
const nano = (text: string | undefined): bigint => usd((text ?? '').replaceAll(/[$,]/g, ''));

describe('docs/billing.md, paying', () => {
  it('names the bounds and the days of the code', () => {
    const { least, most } = TOP_UP_CENTS;
    const shown = (cents: bigint): string => formatUsd(cents * NANO_PER_CENT, 0).replace(/\.00$/, '');
    expect(section).toContain(`from ${shown(least)} to ${shown(most)} at once`);
    expect(section).toContain(`${COLLECT_AGAIN_AFTER_DAYS.join(', ').replace(/, (\d+)$/, ' and $1')} days`);
  });

  it.each(rows('auto-recharge'))('auto-recharge: %s: %s', (facts, decision) => {
    const [, below, amount, cap] =
      /below (\S+), amount (\S+), cap (\S+) a month/.exec(
        section.split('\n').find((l) => l.includes('auto-recharge on, below')) ?? '',
      ) ?? [];
    const [, available, recharged] = /^(\S+) available, (\S+) recharged/.exec(facts ?? '') ?? [];
    const rules = {
      rechargeOn: true,
      rechargeBelowNano: nano(below),
      rechargeCents: nano(amount) / NANO_PER_CENT,
      rechargeMonthCents: nano(cap) / NANO_PER_CENT,
      rechargeNotBefore: null,
      methodId: 'pm',
      customerId: 'cus',
    };
    const monthCents = nano(recharged) / NANO_PER_CENT;
    const inFlight = (facts ?? '').includes('under way');
    expect(decideRecharge(rules, { availableNano: nano(available), inFlight, monthCents }, 0)).toBe(decision);
  });

  it.each(rows('an invoice'))('an invoice tried on %s, on day %s: %s', (tried, day, decision) => {
    const days =
      /^day ([\d, ]+)/
        .exec(tried ?? '')?.[1]
        ?.split(',')
        .map(Number) ?? [];
    const tries = days.map((d) => ({ state: 'declined', createdAt: d * DAY }));
    expect(decideCollection(tries, Number(day) * DAY)).toBe(decision);
  });

  describe('refunds', () => {
    let rig: Rig;
    beforeAll(async () => {
      rig = await openRig();
    });
    afterAll(() => rig.close());

    it.each(rows('$20.00 bought'))(
      '$20.00 bought, then %s: %s available, %s may be refunded',
      async (then, available, most) => {
        const { organizationId } = await rig.payer();
        const { id } = await rig.payments.topUp(organizationId, 2_000n);
        await rig.drive();
        const amount = /^(\$\S+) (held|refunded)/.exec(then ?? '');
        if (amount?.[2] === 'held') {
          await rig.tx((tx) =>
            rig.till.holds.take(tx, { organizationId, projectId: 'p', amountNano: nano(amount[1]) }),
          );
        } else if (amount) await rig.payments.refund(id, nano(amount[1]) / NANO_PER_CENT);
        const credit = await rig.tx((tx) => rig.till.ledger.creditOf(tx, organizationId));
        expect(formatUsd(credit.availableNano)).toBe(available);
        const cents = nano(most) / NANO_PER_CENT;
        await expect(rig.payments.refund(id, cents + 1n)).rejects.toMatchObject({
          code: expect.stringMatching(/^(not-refundable|insufficient-credit)$/),
        });
        await rig.payments.refund(id, cents);
      },
    );
  });
});
