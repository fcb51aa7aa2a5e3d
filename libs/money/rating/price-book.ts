import type { PriceTerms } from '#contracts';

/** One version of the price book; never edited, only superseded. */
export interface PriceBookVersion {
  readonly version: number;
  readonly effectiveAt: number;
  readonly terms: PriceTerms;
}

/** The version in force at an instant: the latest to take effect by then and, of several from one instant on, the newest. */
export function priceAt<V extends Pick<PriceBookVersion, 'version' | 'effectiveAt'>>(
  book: readonly V[],
  whenMs: number,
): V | null {
  let best: V | null = null;
  for (const v of book) {
    if (v.effectiveAt > whenMs) continue;
    if (
      best === null ||
      v.effectiveAt > best.effectiveAt ||
      (v.effectiveAt === best.effectiveAt && v.version > best.version)
    )
      best = v;
  }
  return best;
}
