import { divRound } from '#kernel';

export const NANO_PER_CENT = 10_000_000n;

/** The sum in whole cents, halves away from zero. */
export const centsOf = (nano: bigint): bigint => divRound(nano, NANO_PER_CENT);

const floorDiv = (n: bigint, d: bigint): bigint => n / d - (n % d < 0n ? 1n : 0n);

/** Whole cents of an amount that are complete: towards minus infinity. */
export const floorCents = (nano: bigint): bigint => floorDiv(nano, NANO_PER_CENT);

/**
 * Whole cents for each amount, by largest remainder, so that they add up to the rounded sum. Each is less than a cent from its
 * exact amount; ties go to the earlier one. Amounts may be negative.
 */
export function splitCents(amountsNano: readonly bigint[]): { cents: bigint[]; totalCents: bigint } {
  const totalCents = centsOf(amountsNano.reduce((a, n) => a + n, 0n));
  return { cents: shareCents(amountsNano, totalCents), totalCents };
}

/**
 * The same to a total that the caller has rounded. It lies between the sum of the complete cents of each and that plus one for each
 * amount that is not whole: so it is for rounded sums, and for the difference of two running balances in complete cents.
 */
export function shareCents(amountsNano: readonly bigint[], totalCents: bigint): bigint[] {
  const cents = amountsNano.map(floorCents);
  const rests = amountsNano.map((n, i) => ({ i, rest: n - (cents[i] ?? 0n) * NANO_PER_CENT }));
  let left = totalCents - cents.reduce((a, c) => a + c, 0n);
  // No more than one cent for each amount that has a remainder, so what is left reaches no amount twice.
  for (const { i } of rests.sort((a, b) => (a.rest < b.rest ? 1 : a.rest > b.rest ? -1 : 0))) {
    if (left <= 0n) break;
    cents[i] = (cents[i] ?? 0n) + 1n;
    left -= 1n;
  }
  return cents;
}
