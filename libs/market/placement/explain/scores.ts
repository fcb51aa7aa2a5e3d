import type { Candidate, Workload } from '#contracts';
import { unitsUsed, demandOf } from '../fit/demand.js';
import { fabricShare } from '../fit/fabric.js';
import type { PlacementContext } from '../context.js';
import { spentOf, type ExpectedCost } from '../cost/cost.js';
import type { RankedOffer } from '../columns/ranking.js';

export type HeadlineScores = Candidate['scores'];

const clamp = (share: number): number => Math.round(Math.min(1, Math.max(0, share)) * 100);

/**
 * The four headline scores, views of the terms that ranked the offer:
 *
 * - gpuFit: share of the rented accelerators and of their memory that the work needs (what is idle is paid for);
 * - interconnect: share of the summed speed that the accelerators keep over their link, 100 for a single one;
 * - reliability: share of the running time that is useful, times the chance that a start works, times confidence;
 * - price: the least money spent among the candidates over the money spent here.
 */
export function headlineScores(
  context: PlacementContext,
  workload: Workload,
  candidate: RankedOffer,
  leastSpent: bigint,
): HeadlineScores {
  const { offer, time, cost, confidence } = candidate;
  const units = unitsUsed(demandOf(workload), offer);
  const usefulShare = time.usefulS / (time.usefulS + time.losses * time.lostPerLossS || 1);
  return {
    gpuFit: clamp(acceleratorsUsed(units, offer.count) * (0.5 + 0.5 * memoryUsed(workload, units, offer.vramGiB))),
    interconnect: clamp(fabricShare(context.speeds, offer, units, workload.nodes).efficiency),
    reliability: clamp((usefulShare / (1 + time.failuresPerStart)) * confidence),
    price: clamp(priceShare(cost, leastSpent)),
  };
}

const acceleratorsUsed = (units: number, count: number): number => (count > 0 ? units / count : 1);

/** Memory the work is known to need per accelerator over what there is; 1 where nothing is known. */
function memoryUsed(workload: Workload, units: number, vramGiB: number): number {
  if (vramGiB <= 0) return 1;
  const asked = workload.accelerator?.minVramGiB;
  if (asked !== undefined) return Math.min(1, asked / vramGiB);
  const { work } = workload;
  if (work.kind !== 'tokens') return 1;
  const weightsGiB = (work.parametersB * 1e9 * work.bytesPerParameter) / 2 ** 30;
  return Math.min(1, weightsGiB / (vramGiB * Math.max(1, units)));
}

function priceShare(cost: ExpectedCost, leastSpent: bigint): number {
  const spent = spentOf(cost);
  return spent <= 0n ? 1 : Number(leastSpent) / Number(spent);
}
