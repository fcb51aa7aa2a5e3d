import { DomainError } from '#kernel';
import type { CustomerRow } from './payments.table.js';

/** The least and the most that one top-up may be. */
export const TOP_UP_CENTS = { least: 500n, most: 1_000_000n } as const;

/** The card to charge; refuses when none was left. */
export function cardOf({ customerId, methodId }: CustomerRow): { customerId: string; methodId: string } {
  if (customerId !== null && methodId !== null) return { customerId, methodId };
  throw new DomainError('conflict', 'no-card', 'There is no card to charge.', {
    fix: 'Leave one: `berth billing setup`, or POST /v1/billing/setup.',
  });
}

export function checkTopUp(cents: bigint, field: string): void {
  const { least, most } = TOP_UP_CENTS;
  if (cents >= least && cents <= most) return;
  throw new DomainError('invalid', 'amount-out-of-range', `One payment is from $${least / 100n} to $${most / 100n}.`, {
    field,
  });
}

/** How an organization pays before it has said anything. */
export function newCustomer(organizationId: string, createdAt: number): CustomerRow {
  return {
    organizationId,
    customerId: null,
    attempt: 1,
    keyAt: null,
    methodId: null,
    methodBrand: null,
    methodLast4: null,
    methodExpMonth: null,
    methodExpYear: null,
    rechargeOn: false,
    rechargeBelowNano: 0n,
    rechargeCents: 0n,
    rechargeMonthCents: 0n,
    rechargeDeclines: 0,
    rechargeNotBefore: null,
    rechargeOffReason: null,
    createdAt,
  };
}
