import type { Accelerator } from '../accelerator.js';
import { bytesPerWeight, type Precision } from './precision.js';
import type { ServingCase, ServingSpeed } from './serving.js';

/** What changes tokens/s more than the next card does. */
export interface Factors {
  /** Off: a batch runs until its longest answer is done. */
  readonly continuousBatching: boolean;
  /** Share of prompt tokens found in a cached prefix, 0..1. */
  readonly promptCacheHitShare: number;
  readonly speculation: Speculation | null;
}

export interface Speculation {
  /** Chance that a drafted token is the one the model would have said, 0..1. */
  readonly acceptRate: number;
  readonly draftTokens: number;
}

export const usualFactors: Factors = { continuousBatching: true, promptCacheHitShare: 0, speculation: null };

export const factorNames = ['continuous-batching', 'prompt-caching', 'speculative-decoding'] as const;
export type FactorName = (typeof factorNames)[number];

/** One factor in an answer. */
export interface FactorEffect {
  readonly name: FactorName;
  readonly on: boolean;
  /** Tokens/s with it over tokens/s without it, the rest unchanged. */
  readonly multiplier: number;
  readonly note: string;
}

/** Time of a draft token over that of the model's own step, for a draft model of about a twentieth of the size. */
const DRAFT_COST = 0.05;
/** Shares of peak as in the roofline of `throughput`. */
const MFU = 0.5;
const MBU = 0.7;
/** The longest answer of a batch over the mean answer is the harmonic number of the batch where lengths are spread as an exponential; bounded, since answers are. */
const LONGEST_OVER_MEAN_MOST = 6;

/** Tokens that a step yields when `draftTokens` are checked at once: 1 + a + a^2 + ... (Leviathan et al. 2023). */
export function tokensPerStep({ acceptRate: a, draftTokens: k }: Speculation): number {
  return a >= 1 ? k + 1 : (1 - a ** (k + 1)) / (1 - a);
}

/**
 * Time per token with speculation over time without. Checking k + 1 tokens costs the same bytes and k + 1 times the
 * arithmetic, so that the gain shrinks with the batch and turns into a loss once arithmetic bounds the step.
 */
export function speculationCost(c: ServingCase, s: Speculation): number {
  const { accelerator, model } = c;
  const memoryS = (model.parameters * bytesPerWeight[c.precision]) / (accelerator.memoryGBps * 1e9 * MBU);
  const arithmeticS = (2 * model.activeParameters * c.batch) / (rate(accelerator, c.precision) * MFU);
  const plain = Math.max(memoryS, arithmeticS);
  const checking = Math.max(memoryS, arithmeticS * (s.draftTokens + 1));
  return (checking / plain + s.draftTokens * DRAFT_COST) / tokensPerStep(s);
}

function rate(a: Accelerator, precision: Precision): number {
  return (bytesPerWeight[precision] === 1 && a.fp8Tflops !== null ? a.fp8Tflops : a.fp16Tflops) * 1e12;
}

/** How many times longer a batch takes when nobody may join before its longest answer is done. */
export function waitForLongest(batch: number): number {
  let harmonic = 0;
  for (let i = 1; i <= batch; i++) harmonic += 1 / i;
  return Math.min(LONGEST_OVER_MEAN_MOST, Math.max(1, harmonic));
}

/** The speed when the part of the time that makes answers takes `multiplier` times as long. */
export function withAnswers(speed: ServingSpeed, multiplier: number): ServingSpeed {
  const cycle = speed.prefillShare + (1 - speed.prefillShare) * multiplier;
  return {
    ...speed,
    requestsPerS: speed.requestsPerS / cycle,
    tpotS: speed.tpotS * multiplier,
    prefillShare: speed.prefillShare / cycle,
  };
}
