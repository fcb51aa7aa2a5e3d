import { HOUR } from '#kernel';
import type { Tx } from '#platform/database';
import { paymentCustomers, type CustomerRow } from './payments.table.js';

/** After so many declines in a row nobody is asked again until the tenant does something. */
export const MOST_DECLINES = 3;

const FIRST_WAIT_MS = HOUR;

export interface RechargeFacts {
  readonly availableNano: bigint;
  /** A recharge is under way. */
  readonly inFlight: boolean;
  /** Recharged since the month began, what is under way included. */
  readonly monthCents: bigint;
}

type Rules = Pick<
  CustomerRow,
  | 'rechargeOn'
  | 'rechargeBelowNano'
  | 'rechargeCents'
  | 'rechargeMonthCents'
  | 'rechargeNotBefore'
  | 'methodId'
  | 'customerId'
>;

/** Whether to charge the card now; else why not. */
export function decideRecharge(
  rules: Rules,
  facts: RechargeFacts,
  nowMs: number,
): 'charge' | 'off' | 'no-card' | 'enough' | 'under-way' | 'cap' | 'waits' {
  if (!rules.rechargeOn) return 'off';
  if (rules.methodId === null || rules.customerId === null) return 'no-card';
  if (facts.availableNano >= rules.rechargeBelowNano) return 'enough';
  if (facts.inFlight) return 'under-way';
  if (rules.rechargeNotBefore !== null && nowMs < rules.rechargeNotBefore) return 'waits';
  return facts.monthCents + rules.rechargeCents > rules.rechargeMonthCents ? 'cap' : 'charge';
}

/** What the end of a recharge means for the next: `paid`, the bank's words for no, or null for a failure that is not the card's. */
export async function countRecharge(tx: Tx, organizationId: string, how: string | null): Promise<void> {
  if (how === 'paid') {
    await tx.update(paymentCustomers, { organizationId }, { rechargeDeclines: 0, rechargeNotBefore: null });
    return;
  }
  const now = await tx.now();
  if (how === null) {
    await tx.update(paymentCustomers, { organizationId }, { rechargeNotBefore: now + FIRST_WAIT_MS });
    return;
  }
  const [row] = await tx.update(paymentCustomers, { organizationId }, { rechargeDeclines: { add: 1 } });
  if (!row) return;
  const off = row.rechargeDeclines >= MOST_DECLINES;
  await tx.update(
    paymentCustomers,
    { organizationId },
    off
      ? { rechargeOn: false, rechargeOffReason: `The card was declined ${MOST_DECLINES} times: ${how}` }
      : { rechargeNotBefore: now + FIRST_WAIT_MS * 2 ** (row.rechargeDeclines - 1) },
  );
}
