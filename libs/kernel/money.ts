/**
 * Money is a whole number of nano-dollars (1 USD = 1e9) in `bigint`: no float ever touches it.
 * On the wire and in JSON it is a decimal string of nano-dollars.
 */
export type NanoUsd = bigint & { readonly __nanoUsd?: never };

export const NANO_PER_USD = 1_000_000_000n;

/** Parses dollars written as decimal text ("12.50", "-0.000000001"); more than nine decimals round half away from zero. Throws RangeError on anything else. */
export function usd(text: string): NanoUsd {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text.trim());
  if (!match) throw new RangeError(`"${text}" is not an amount of dollars such as 12.50`);
  const [, sign = '', whole = '0', fraction = ''] = match;
  const kept = fraction.slice(0, 9).padEnd(9, '0');
  const up = (fraction.charCodeAt(9) || 48) >= 53 ? 1n : 0n;
  const value = BigInt(whole) * NANO_PER_USD + BigInt(kept) + up;
  return sign ? -value : value;
}

/** Dollars as a JSON number from an outside source (a price list) to nano-dollars; only importers may use it. */
export function usdFromNumber(dollars: number): NanoUsd {
  if (!Number.isFinite(dollars)) throw new RangeError(`${dollars} is not an amount of dollars`);
  return usd(dollars.toFixed(9));
}

/** "$1,234.56"-style text with at least `decimals` decimals (default 2) and as many more as needed up to nine. */
export function formatUsd(amount: NanoUsd, decimals = 2): string {
  const negative = amount < 0n;
  const abs = negative ? -amount : amount;
  const whole = (abs / NANO_PER_USD).toString().replace(/\B(?=(\d{3})+$)/g, ',');
  const nine = (abs % NANO_PER_USD).toString().padStart(9, '0');
  const trimmed = nine.replace(/0+$/, '');
  return `${negative ? '-' : ''}$${whole}.${trimmed.padEnd(Math.max(decimals, 0), '0') || '00'}`;
}

/** Dollars rounded half away from zero to whole cents, for people: "$0.04". */
export function formatCents(amount: NanoUsd): string {
  const cents = divRound(amount, 10_000_000n);
  return formatUsd(cents * 10_000_000n, 2);
}

/** n / d rounded half away from zero; d > 0. */
export function divRound(n: bigint, d: bigint): bigint {
  if (d <= 0n) throw new RangeError('divisor must be positive');
  const negative = n < 0n;
  const abs = negative ? -n : n;
  const q = (abs + d / 2n) / d;
  // With an odd d, d/2n floors, which keeps halves impossible and the result right.
  return negative ? -q : q;
}

/**
 * Charge of [fromMs, toMs) at `perHour`, as a difference of cumulative roundings since `startMs`,
 * so that any way of cutting the time gives the same sum (design invariant 7).
 */
export function chargeBetween(perHour: NanoUsd, startMs: number, fromMs: number, toMs: number): NanoUsd {
  if (!(startMs <= fromMs && fromMs <= toMs)) throw new RangeError('chargeBetween needs start <= from <= to');
  const upTo = (t: number): bigint => divRound(perHour * BigInt(Math.round(t - startMs)), 3_600_000n);
  return upTo(toMs) - upTo(fromMs);
}

/** Splits `total` by integer weights so that the parts add up exactly (largest remainder; ties to the earlier part). */
export function splitByLargestRemainder(total: bigint, weights: readonly bigint[]): bigint[] {
  const sum = weights.reduce((a, w) => a + w, 0n);
  if (sum <= 0n || weights.some((w) => w < 0n)) throw new RangeError('weights must be >= 0 with a positive sum');
  const negative = total < 0n;
  const abs = negative ? -total : total;
  const parts = weights.map((w) => (abs * w) / sum);
  let left = abs - parts.reduce((a, p) => a + p, 0n);
  const order = weights
    .map((w, i) => ({ i, rest: (abs * w) % sum }))
    .sort((a, b) => (a.rest === b.rest ? a.i - b.i : a.rest > b.rest ? -1 : 1));
  for (const { i } of order) {
    if (left === 0n) break;
    parts[i] = (parts[i] ?? 0n) + 1n;
    left -= 1n;
  }
  return negative ? parts.map((p) => -p) : parts;
}
