import { divRound } from '#kernel';

/** What the tenant pays per hour for capacity that costs the broker `costPerHour`: cost plus margin in basis points. */
export function chargePerHour(costPerHour: bigint, marginBps: number): bigint {
  return costPerHour + divRound(costPerHour * BigInt(marginBps), 10_000n);
}

/** Milliseconds that a vendor bills for `usedMs` of running: at least the minimum, then whole increments. */
export function billedMs(usedMs: number, billing: { readonly minimumS: number; readonly incrementS: number }): number {
  if (usedMs <= 0) return 0;
  const step = Math.max(billing.incrementS, 0.001) * 1_000;
  return Math.max(billing.minimumS * 1_000, Math.ceil(usedMs / step) * step);
}
