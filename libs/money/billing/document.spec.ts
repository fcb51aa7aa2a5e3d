import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatUsd, usd } from '#kernel';
import { defaultBillingSettings, dunningSteps, NANO_PER_CENT, settlementOf, splitCents, taxAt } from './index.js';

const text = readFileSync(join(import.meta.dirname, '../../../docs/billing.md'), 'utf8');
const section = /\n## Invoices\n[\s\S]*?(?=\n## |$)/.exec(text)?.[0] ?? '';
/** The rows of the table whose first column has that title, cell by cell. */
function rowsUnder(title: string): string[][] {
  const lines = section.split('\n');
  const from = lines.findIndex((l) => l.startsWith(`| ${title} `));
  const end = lines.findIndex((l, i) => i > from && !l.startsWith('|'));
  return lines.slice(from + 2, end).map((l) =>
    l
      .split('|')
      .slice(1, -1)
      .map((c) => c.trim()),
  );
}
const cents = (n: bigint): string => formatUsd(n * NANO_PER_CENT);
const nano = (shown: string): bigint => usd(shown.replace('$', ''));

describe('what docs/billing.md says of invoices', () => {
  it('is how cents are shared out', () => {
    const rows = rowsUnder('exact');
    const amounts = rows.slice(0, -1).map(([exact = '']) => nano(exact));
    const split = splitCents(amounts);
    const sum = amounts.reduce((a, n) => a + n, 0n);
    const shown = amounts.map((n, i) => [formatUsd(n), cents(split.cents[i] ?? 0n)]);
    expect(rows).toEqual([...shown, [formatUsd(sum), cents(split.totalCents)]]);
  });

  it('is what is due', () => {
    const rows = rowsUnder('credit before');
    expect(rows).toHaveLength(4);
    for (const row of rows) {
      const [credit = '', used = '', tax = ''] = row;
      const usageNano = nano(used);
      const usageCents = splitCents([usageNano]).totalCents;
      const taxCents = taxAt(usageCents, Math.round(Number(tax.replace(' %', '')) * 100));
      const left = nano(credit) - usageNano;
      const s = settlementOf({ usageNano, taxCents, balanceNano: left, availableNano: left, usedSinceNano: 0n });
      const total = cents(usageCents + taxCents);
      expect(row).toEqual([credit, used, tax, total, cents(s.fromCreditCents), cents(s.dueCents)]);
    }
    const second = nano(rows[1]?.[1] ?? '');
    expect(section).toContain(
      `${formatUsd(splitCents([second]).totalCents * NANO_PER_CENT - second)} in the second row`,
    );
  });

  it('is the share of the tax that a credit note takes back', () => {
    const [, invoice = '', rate = '', note = '', total = ''] =
      /over (\$[\d.]+) and (\d+) % tax, a\s+note over (\$[\d.]+) takes back (\$[\d.]+)\./.exec(section) ?? [];
    const tax = taxAt(nano(invoice) / NANO_PER_CENT, Number(rate) * 100);
    const share = (tax * nano(note)) / nano(invoice);
    expect(cents(nano(note) / NANO_PER_CENT + share)).toBe(total);
  });

  it('is the dunning schedule, and what settings are when nobody sets them', () => {
    const steps = rowsUnder('days after the due date').map(([days, what = '']) => [days, what.split(':')[0]]);
    expect(steps).toEqual(dunningSteps(defaultBillingSettings).map((s) => [String(s.days), s.action]));
    expect(section).toContain(`\`INVOICE_GRACE_HOURS\`, ${defaultBillingSettings.graceMs / 3_600_000})`);
    expect(section).toContain(`\`INVOICE_NET_DAYS\`, ${defaultBillingSettings.netDays} days`);
  });
});
