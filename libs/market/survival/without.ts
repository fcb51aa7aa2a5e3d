import type { DurationEvidence } from './duration.js';
import { leftAfter } from './forgetting.js';
import type { ProportionEvidence } from './proportion.js';
import type { RateEvidence } from './rate.js';

/**
 * Evidence of a scope less that of one part of it: what is believed of a part may rest on its surroundings, but what the
 * part itself showed must not count again there. Sums are never below zero; the belief in half-lives stays the whole's.
 */
function less(whole: readonly number[], part: readonly number[], left: readonly number[]): number[] {
  return whole.map((w, j) => Math.max(0, w - (part[j] ?? 0) * (left[j] ?? 0)));
}

export function proportionWithout(whole: ProportionEvidence, part: ProportionEvidence): ProportionEvidence {
  const left = leftAfter(whole.atMs - part.atMs);
  return { ...whole, good: less(whole.good, part.good, left), bad: less(whole.bad, part.bad, left) };
}

export function rateWithout(whole: RateEvidence, part: RateEvidence): RateEvidence {
  const left = leftAfter(whole.atMs - part.atMs);
  return {
    ...whole,
    events: less(whole.events, part.events, left),
    expected: less(whole.expected, part.expected, left),
  };
}

export function durationWithout(whole: DurationEvidence, part: DurationEvidence): DurationEvidence {
  const left = leftAfter(whole.atMs - part.atMs)[4] ?? 1;
  const n = whole.n - part.n * left;
  if (n < 1e-6) return { ...whole, n: 0, sumLog: 0, sumLogSquared: 0 };
  return {
    ...whole,
    n,
    sumLog: whole.sumLog - part.sumLog * left,
    sumLogSquared: Math.max(0, whole.sumLogSquared - part.sumLogSquared * left),
  };
}
