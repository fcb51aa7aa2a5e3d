import type { RankedOffer } from '../columns/ranking.js';

/** Spread of the logarithm of boot times around their median: half to twice the median holds five in six. */
const BOOT_SPREAD = 0.5;
const MEAN_OVER_MEDIAN = Math.exp(BOOT_SPREAD ** 2 / 2);
/** Standard normal quantiles of twenty equally likely boots: (i + 1/2) / 20. */
const NORMALS = [
  -1.96, -1.44, -1.15, -0.935, -0.755, -0.598, -0.454, -0.319, -0.189, -0.063, 0.063, 0.189, 0.319, 0.454, 0.598, 0.755,
  0.935, 1.15, 1.44, 1.96,
] as const;
const Z90 = 1.2816;

/** Seconds from the order to a usable machine, for starts that work. */
export function bootQuantiles({ time }: RankedOffer): { p50S: number; p90S: number } {
  const p50S = time.reliability.bootS / MEAN_OVER_MEDIAN;
  return { p50S, p90S: p50S * Math.exp(Z90 * BOOT_SPREAD) };
}

export interface Hedge {
  /** When to start the second one if the first has neither come nor failed; null: it never pays. */
  readonly afterS: number | null;
  /** How likely it gets that far. */
  readonly likely: number;
  /** Waiting that the second start is expected to save from then on. */
  readonly savesS: number;
  /** What that waiting is worth, and what the start that is not needed in the end is expected to cost; nano-dollars. */
  readonly worthNano: bigint;
  readonly costNano: bigint;
}

/** Equally likely courses of one start: seconds until it is usable, or until it is known to have failed. */
interface Course {
  readonly endsS: number;
  readonly works: boolean;
  readonly weight: number;
}

function coursesOf({ time }: RankedOffer): Course[] {
  const { startFailureP: p, failedStartS } = time.reliability;
  const median = time.reliability.bootS / MEAN_OVER_MEDIAN;
  const boots = NORMALS.map((z) => ({
    endsS: median * Math.exp(z * BOOT_SPREAD),
    works: true,
    weight: (1 - p) / NORMALS.length,
  }));
  return p > 0 ? [...boots, { endsS: failedStartS, works: false, weight: p }] : boots;
}

/** What a start that comes and is let go at once costs: the billed part of its boot, at least the vendor's minimum. */
function letGoNano({ offer, time }: RankedOffer): number {
  const { incrementS, minimumS } = offer.billing;
  const { bootBilledS } = time.reliability;
  const billed = incrementS > 0 ? Math.ceil(bootBilledS / incrementS) * incrementS : bootBilledS;
  return (Number(offer.pricePerHour) * time.machines * Math.max(billed, minimumS)) / 3_600;
}

/** Seconds until some machine of a chain of starts at that offer is usable. */
function meanStartS({ time }: RankedOffer): number {
  const { bootS, failedStartS } = time.reliability;
  return bootS + time.failuresPerStart * failedStartS;
}

/**
 * When a second start beside the first pays: at the first moment where the waiting it is expected to save, at the value of
 * time, is worth more than the start that will not be needed. Where waiting is worth nothing, or boots are short, never.
 */
export function hedgeOf(first: RankedOffer, second: RankedOffer, dollarsPerHour: number): Hedge {
  const ones = coursesOf(first);
  const twos = coursesOf(second);
  const nanoPerS = (dollarsPerHour * 1e9) / 3_600;
  const afterFailure = meanStartS(second);
  let best: Hedge | null = null;
  const moments = [0, ...ones.filter((c) => c.works).map((c) => c.endsS)];
  for (const t of moments) {
    const left = ones.filter((c) => c.endsS > t);
    const likely = left.reduce((sum, c) => sum + c.weight, 0);
    if (likely <= 0) break;
    let savesS = 0;
    let costNano = 0;
    for (const one of left)
      for (const two of twos) {
        const weight = (one.weight / likely) * two.weight;
        const alone = one.works ? one.endsS : one.endsS + afterFailure;
        const beside = two.works ? Math.min(alone, t + two.endsS) : alone;
        savesS += weight * (alone - beside);
        // One of two that come is let go; one that failed costs what a failed start costs.
        if (one.works && two.works) costNano += weight * letGoNano(t + two.endsS < one.endsS ? first : second);
        else if (!two.works) costNano += weight * failedNano(second);
      }
    const hedge: Hedge = {
      afterS: Math.round(t),
      likely,
      savesS: Math.round(savesS),
      worthNano: BigInt(Math.round(savesS * nanoPerS)),
      costNano: BigInt(Math.round(costNano)),
    };
    if (hedge.worthNano > hedge.costNano) return hedge;
    if (best === null || hedge.worthNano - hedge.costNano > best.worthNano - best.costNano) best = hedge;
  }
  return { ...(best ?? { likely: 0, savesS: 0, worthNano: 0n, costNano: 0n }), afterS: null };
}

const failedNano = ({ offer, time }: RankedOffer): number =>
  (Number(offer.pricePerHour) * time.machines * time.reliability.failedStartBilledS) / 3_600;
