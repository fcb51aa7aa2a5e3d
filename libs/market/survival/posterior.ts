/** What is believed about one figure: its mean, 80 % of the belief, and how much was seen. */
export interface Posterior {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** What the evidence still counts, after forgetting: events, trials or boots. */
  readonly sampleSize: number;
}

/** Standard normal quantile of 90 %: both ends of an interval of 80 %. */
const Z90 = 1.2816;

interface Part {
  readonly weight: number;
  readonly mean: number;
  readonly variance: number;
}

/** Mean and variance of a mixture. */
export function mixed(parts: readonly Part[]): { mean: number; variance: number } {
  let mean = 0;
  for (const p of parts) mean += p.weight * p.mean;
  let variance = 0;
  for (const p of parts) variance += p.weight * (p.variance + (p.mean - mean) ** 2);
  return { mean, variance };
}

/** 80 % of a Gamma belief of that mean and variance, by Wilson and Hilferty's cube root (PNAS 17, 1931). */
export function gammaInterval(mean: number, variance: number): { low: number; high: number } {
  const shape = mean ** 2 / variance;
  const end = (z: number): number => mean * Math.max(0, 1 - 1 / (9 * shape) + z / (3 * Math.sqrt(shape))) ** 3;
  return { low: end(-Z90), high: Math.max(mean, end(Z90)) };
}

/** 80 % of a Beta belief of that mean and variance: normal on the log-odds, whose variance is trigamma(a) + trigamma(b). */
export function betaInterval(mean: number, variance: number): { low: number; high: number } {
  const strength = Math.max(1e-6, (mean * (1 - mean)) / variance - 1);
  const sd = Math.sqrt(trigamma(mean * strength) + trigamma((1 - mean) * strength));
  const odds = Math.log(mean / (1 - mean));
  const end = (z: number): number => 1 / (1 + Math.exp(-(odds + z * sd)));
  return { low: Math.min(mean, end(-Z90)), high: Math.max(mean, end(Z90)) };
}

/** Recurrence up to 6, then the asymptotic series (Abramowitz and Stegun 6.4.12). */
function trigamma(x: number): number {
  let sum = 0;
  let at = x;
  while (at < 6) {
    sum += 1 / at ** 2;
    at += 1;
  }
  return sum + 1 / at + 1 / (2 * at ** 2) + 1 / (6 * at ** 3) - 1 / (30 * at ** 5);
}
