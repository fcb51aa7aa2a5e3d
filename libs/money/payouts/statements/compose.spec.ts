import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DAY, usd } from '#kernel';
import { centsText, NANO_PER_CENT } from '#money/billing';
import type { LeaseDay, MovementKind } from '../rows/statements.table.js';
import { defaultTerms } from '../terms.js';
import { unstated } from './accrual.js';
import { composeStatement, type ComposedStatement, type ShownMovement } from './compose.js';

const AT = Date.UTC(2026, 10, 3);
const ids = { statement: 'pst_x', payout: 'po_x' };

const day = (amountNano: bigint, n = 0): LeaseDay => ({
  dayStart: AT + n * DAY,
  leaseId: `lease_${n}`,
  sku: 'gpu',
  resource: 'H100 x1',
  meter: 'lease-time',
  unit: 'ms',
  quantity: 1n,
  amountNano,
});
const moved = (kind: MovementKind, amountNano: bigint): ShownMovement => ({
  kind,
  amountNano,
  reference: 'r',
  note: 'n',
  at: AT,
});
const centsOfKinds = ({ lines }: ComposedStatement, kinds: readonly MovementKind[]): bigint =>
  lines.reduce((a, l) => (kinds.includes(l.kind) ? a + l.cents : a), 0n);

describe('a statement', () => {
  it('adds up, exactly and to the cent, whatever is on it', () => {
    const nano = fc.bigInt({ min: -usd('50'), max: usd('90') });
    fc.assert(
      fc.property(
        nano,
        fc.array(nano, { maxLength: 12 }),
        fc.array(nano, { maxLength: 6 }),
        fc.integer({ min: 0, max: 10_000 }),
        fc.bigInt({ min: 1n, max: 4_000n }),
        (openingNano, earned, moves, holdbackBps, minimumCents) => {
          const s = composeStatement({
            openingNano,
            accruals: earned.map((n, i) => day(n, i)),
            moved: moves.map((n) => moved('dispute', n)),
            terms: { holdbackBps, minimumCents },
            atMs: AT,
            ids,
          });
          const sum = (of: (l: (typeof s.lines)[number]) => bigint): bigint => s.lines.reduce((a, l) => a + of(l), 0n);
          expect(openingNano + sum((l) => l.amountNano)).toBe(s.closingNano);
          expect(s.openingCents + sum((l) => l.cents)).toBe(s.closingCents);
          for (const l of s.lines) {
            const off = l.cents * NANO_PER_CENT - l.amountNano;
            expect(off > -NANO_PER_CENT && off < NANO_PER_CENT).toBe(true);
          }
          // What is paid is never more than is due, and what remains is below a cent or below the minimum.
          expect(s.payoutCents === 0n || s.payoutCents >= minimumCents).toBe(true);
          expect(s.payoutCents === 0n ? s.closingCents < minimumCents : s.closingCents === 0n).toBe(true);
        },
      ),
    );
  });

  it('takes what was used less what was stated, so that late usage is on the next', () => {
    const [early, late] = [day(usd('2')), day(usd('3'), 1)];
    expect(unstated([early, late], [early])).toEqual([late]);
    expect(unstated([early, late], [early, late])).toEqual([]);
    const more = { ...early, amountNano: usd('2.5'), quantity: 2n };
    expect(unstated([more], [early])).toEqual([{ ...early, amountNano: usd('0.5'), quantity: 1n }]);
  });
});

describe('docs/billing.md, payouts to providers', () => {
  const document = readFileSync(new URL('../../../../docs/billing.md', import.meta.url), 'utf8');

  it('shows what the code makes of its example', () => {
    const terms = defaultTerms({ kind: 'bare-metal', registered: true });
    const months: readonly (readonly [string, string, readonly ShownMovement[]])[] = [
      ['September', '20', []],
      ['October', '100.005', [moved('release', usd('2'))]],
      ['November', '40', [moved('release', usd('10.0005')), moved('dispute', -usd('15'))]],
      ['December', '0', [moved('release', usd('4')), moved('dispute-dismissed', usd('15'))]],
    ];
    let openingNano = 0n;
    for (const [name, earned, moves] of months) {
      const accruals = usd(earned) === 0n ? [] : [day(usd(earned))];
      const s = composeStatement({ openingNano, accruals, moved: moves, terms, atMs: AT, ids });
      openingNano = s.closingNano;
      const cells = [
        name,
        ...[
          s.openingCents,
          centsOfKinds(s, ['accrual']),
          centsOfKinds(s, ['holdback']),
          centsOfKinds(s, ['release']),
          centsOfKinds(s, ['dispute', 'dispute-dismissed']),
          centsOfKinds(s, ['payout']),
          s.closingCents,
        ].map(centsText),
      ];
      expect(document.replace(/ +/g, ' ')).toContain(`| ${cells.join(' | ')} |`);
    }
  });

  it('names the terms as they are', () => {
    const host = defaultTerms({ kind: 'bare-metal', registered: true });
    const vendor = defaultTerms({ kind: 'hyperscaler', registered: false });
    expect(document.replace(/\s+/g, ' ')).toContain(
      `Registered hosts and decentralized providers: ${host.holdbackBps / 100} % for ${host.holdbackDays} days, and at least ${centsText(host.minimumCents)}.`,
    );
    expect(document.replace(/\s+/g, ' ')).toContain(
      `All others: ${vendor.holdbackBps / 100} %, and at least ${centsText(vendor.minimumCents)}.`,
    );
  });
});
