import type { Accelerator } from '../accelerator.js';

export const precisions = ['bf16', 'fp8', 'int8', 'int4'] as const;
/** Width of the weights. `bf16` stands for 16 bits of either kind. */
export type Precision = (typeof precisions)[number];

export const bytesPerWeight: Readonly<Record<Precision, number>> = { bf16: 2, fp8: 1, int8: 1, int4: 0.5 };

/** What a narrower width risks, in a sentence; the figures are those usually published for models above 7B. */
export const qualityRisk: Readonly<Record<Precision, string>> = {
  bf16: 'as trained: no loss',
  fp8: 'usually within 0.5 % of the 16-bit scores; check long reasoning and code',
  int8: 'usually under 1 % below the 16-bit scores',
  int4: 'usually 1-3 % below the 16-bit scores, more for small models, maths and languages with little training text: test on your own prompts',
};

/** Widths to try when nobody asks for some: as published, and what halves and quarters it. */
export function usualPrecisions(publishedBits: number): Precision[] {
  if (publishedBits > 8) return ['bf16', 'fp8', 'int4'];
  return publishedBits > 4 ? ['fp8', 'int4'] : ['int4'];
}

/** Generations that have kernels for a width: 8-bit floats from Ampere on (as stored width), integers from Turing on. */
const firstGeneration: Readonly<Record<Precision, number>> = { bf16: 0, fp8: 6, int8: 5, int4: 5 };

/** Null when engines run that width on the accelerator, else why not. */
export function widthRefused(
  a: Pick<Accelerator, 'name' | 'generation' | 'vendor'>,
  precision: Precision,
): string | null {
  if (a.vendor === 'nvidia' && a.generation < firstGeneration[precision])
    return `${a.name} is too old for ${precision} kernels`;
  return null;
}

/** True where the width saves memory only, since the accelerator has no units for it. */
export function storedOnly(a: Pick<Accelerator, 'fp8Tflops'>, precision: Precision): boolean {
  return precision === 'int4' || (precision === 'fp8' && a.fp8Tflops === null);
}
