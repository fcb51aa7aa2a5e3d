import { floorCents, NANO_PER_CENT, shareCents } from '#money/billing';
import type { LeaseDay, MovementRow, StatementLineRow } from '../rows/statements.table.js';
import { holdbackOf, type PayoutTerms } from '../terms.js';
import { dayStartOf } from './accrual.js';

/** A movement as a statement shows it. */
export type ShownMovement = Pick<MovementRow, 'kind' | 'amountNano' | 'reference' | 'note' | 'at'>;

export type StatementLine = Omit<StatementLineRow, 'statementId' | 'n' | 'organizationId' | 'providerId'>;

/** What a statement's own movements are called. */
export const KEPT_BACK = 'kept back';
export const PAID_OUT = 'paid out';

export interface ComposedStatement {
  readonly lines: readonly StatementLine[];
  readonly accruedNano: bigint;
  readonly holdbackNano: bigint;
  /** What is to be paid out: all complete cents that are due, or nothing below the minimum. */
  readonly payoutCents: bigint;
  readonly openingNano: bigint;
  readonly closingNano: bigint;
  readonly openingCents: bigint;
  readonly closingCents: bigint;
}

/**
 * What a statement says: what was due, what was earned, kept back and moved since, what is paid out and what remains. Balances are in
 * complete cents and the lines' cents, by largest remainder, add up to their difference; the rest of a cent is in the next statement.
 */
export function composeStatement(of: {
  readonly openingNano: bigint;
  readonly accruals: readonly LeaseDay[];
  /** What moved `payable` beside usage; it is earned as usage is. */
  readonly adjustments?: readonly ShownMovement[];
  readonly moved: readonly ShownMovement[];
  readonly terms: Pick<PayoutTerms, 'holdbackBps' | 'minimumCents'>;
  readonly atMs: number;
  /** The statement's id and the payout's, for its own movements. */
  readonly ids: { readonly statement: string; readonly payout: string };
}): ComposedStatement {
  const { openingNano, terms, atMs, ids } = of;
  const { adjustments = [] } = of;
  const accruedNano = sum(of.accruals) + sum(adjustments);
  const holdbackNano = holdbackOf(accruedNano, terms);
  const own: ShownMovement[] =
    holdbackNano === 0n
      ? []
      : [{ kind: 'holdback', amountNano: -holdbackNano, reference: ids.statement, note: KEPT_BACK, at: atMs }];
  const dueNano = openingNano + accruedNano + sum(of.moved) + sum(own);
  const dueCents = floorCents(dueNano);
  const payoutCents = dueCents > 0n && dueCents >= terms.minimumCents ? dueCents : 0n;
  const payoutNano = payoutCents * NANO_PER_CENT;
  if (payoutCents > 0n)
    own.push({ kind: 'payout', amountNano: -payoutNano, reference: ids.payout, note: PAID_OUT, at: atMs });
  const bare = [...of.accruals.map(accrualLine), ...[...adjustments, ...of.moved, ...own].map(movementLine)];
  const closingNano = dueNano - payoutNano;
  const openingCents = floorCents(openingNano);
  const closingCents = floorCents(closingNano);
  const cents = shareCents(
    bare.map((l) => l.amountNano),
    closingCents - openingCents,
  );
  const lines = bare.map((line, n) => ({ ...line, cents: cents[n] ?? 0n }));
  return { lines, accruedNano, holdbackNano, payoutCents, openingNano, closingNano, openingCents, closingCents };
}

function accrualLine(day: LeaseDay): Omit<StatementLine, 'cents'> {
  return { ...day, kind: 'accrual', reference: null, note: '' };
}

function movementLine({ kind, amountNano, reference, note, at }: ShownMovement): Omit<StatementLine, 'cents'> {
  const nothing = { leaseId: null, sku: null, resource: null, meter: null, unit: null, quantity: null };
  return { ...nothing, kind, dayStart: dayStartOf(at), reference, note, amountNano };
}

const sum = (list: readonly { readonly amountNano: bigint }[]): bigint => list.reduce((a, m) => a + m.amountNano, 0n);
