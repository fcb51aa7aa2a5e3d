import { hasFastLink, shapeOf, volumeHours, type Accelerator, type Shape, type SizingQuery } from '#hardware';
import type { Offer } from '#contracts';
import { carriesGang } from '#market/placement';

/** What a shape costs on an offer. */
export interface ShapeCost {
  readonly offer: Offer;
  readonly shape: Shape;
  readonly machines: number;
  readonly totalPerHour: bigint;
  /** Nano-dollars per million tokens, as a number for ordering. */
  readonly perMillion: number;
  readonly perMillionInput: number;
  readonly perMillionOutput: number;
  readonly hours: number | null;
  readonly total: bigint | null;
  readonly notes: readonly string[];
}

/** PCIe of the fourth generation, both directions: what an offer gets whose link is not stated to be better. */
const WORST_LINK = { link: 'pcie4', linkGBps: 64 } as const;
const fast: ReadonlySet<string> = new Set(['nvlink', 'nvswitch', 'xgmi', 'ici', 'neuronlink', 'roce-on-chip']);

/**
 * The accelerator as this offer links it. A machine whose link is unknown or slower than its maker builds counts with the
 * worst: a promise of NVLink must be made by the offer.
 */
export function linkedAs(a: Accelerator, offer: Offer): { accelerator: Accelerator; note: string | null } {
  const { intraNode } = offer.interconnect;
  if (offer.count <= 1 || !hasFastLink(a) || fast.has(intraNode)) return { accelerator: a, note: null };
  return {
    accelerator: { ...a, ...WORST_LINK },
    note:
      intraNode === 'unknown'
        ? 'the link between the GPUs is not stated: counted as PCIe'
        : `the GPUs are linked by ${intraNode} only`,
  };
}

/** Machines of `count` GPUs for all replicas of a shape; null when a replica cannot be laid onto them. */
export function machinesFor(shape: Pick<Shape, 'split' | 'gpus' | 'replicas'>, count: number): number | null {
  if (count >= shape.gpus) return Math.ceil(shape.replicas / Math.floor(count / shape.gpus));
  const stages = Math.floor(count / shape.split.tensor);
  if (stages < 1 || shape.split.pipeline < 2) return null;
  return shape.replicas * Math.ceil(shape.split.pipeline / stages);
}

/** Tokens per second that are delivered: what all replicas can do, or on the average of a trace what arrives. */
export function deliveredRequestsPerS(q: SizingQuery, shape: Shape): number {
  return q.load.kind === 'rate' ? q.load.meanPerS : shape.speed.requestsPerS * shape.replicas;
}

/** The shape over the worst link, sized once however many offers have it; null when it does not go there or misses the target. */
export function overWorstLink(q: SizingQuery, shape: Shape): () => Shape | null {
  let known: Shape | null | undefined;
  return () => {
    if (known !== undefined) return known;
    const relinked = shapeOf(q, { ...shape.accelerator, ...WORST_LINK }, shape.precision, shape.split);
    return (known = 'speed' in relinked && relinked.meetsLatency ? relinked : null);
  };
}

/**
 * The cost of a shape on one offer; null when it does not go there, would miss the target over its link, or takes machines that start
 * together where none are known to be joined well enough for that.
 */
export function costOn(
  q: SizingQuery,
  shape: Shape,
  offer: Offer,
  relinked: () => Shape | null = overWorstLink(q, shape),
): ShapeCost | null {
  const { accelerator, note } =
    shape.split.tensor > 1 ? linkedAs(shape.accelerator, offer) : { accelerator: shape.accelerator, note: null };
  const here = accelerator === shape.accelerator ? shape : relinked();
  if (here === null) return null;
  const machines = machinesFor(here, offer.count);
  if (machines === null) return null;
  const perReplica = Math.ceil(machines / here.replicas);
  if (offer.count < here.gpus && !carriesGang(offer)) return null;
  if (offer.stock !== null && offer.stock < machines) return null;
  const totalPerHour = offer.pricePerHour * BigInt(machines);
  const perHour = Number(totalPerHour);
  const requestsPerHour = deliveredRequestsPerS(q, here) * 3_600;
  const perRequest = perHour / requestsPerHour;
  const hours = volumeHours(q, here.speed, here.replicas);
  const spare = offer.count >= here.gpus ? offer.count % here.gpus : 0;
  return {
    offer,
    shape: here,
    machines,
    totalPerHour,
    perMillion: (perRequest / (q.inputTokens + q.outputTokens)) * 1e6,
    perMillionInput: (perRequest * here.speed.prefillShare * 1e6) / q.inputTokens,
    perMillionOutput: (perRequest * (1 - here.speed.prefillShare) * 1e6) / q.outputTokens,
    hours,
    total: hours === null ? null : BigInt(Math.round(perHour * hours)),
    notes: [
      ...(note === null ? [] : [note]),
      ...(offer.count < here.gpus
        ? [`${perReplica} machines for each replica, over ${offer.interconnect.interNode}`]
        : []),
      ...(spare > 0 ? [`${spare} of ${offer.count} GPUs of a machine stay idle`] : []),
    ],
  };
}

/** The cheapest offers for a shape, per token first; the same machine and price in another region counts once. */
export function cheapestFor(q: SizingQuery, shape: Shape, offers: readonly Offer[], most: number): ShapeCost[] {
  const relinked = overWorstLink(q, shape);
  const costs = offers.flatMap((o) => costOn(q, shape, o, relinked) ?? []);
  costs.sort((a, b) => a.perMillion - b.perMillion || (a.offer.id < b.offer.id ? -1 : 1));
  const seen = new Set<string>();
  const kept: ShapeCost[] = [];
  for (const c of costs) {
    const key = `${c.offer.providerId}|${c.offer.sku}|${c.offer.pricing}`;
    if (seen.has(key)) continue;
    seen.add(key);
    kept.push(c);
    if (kept.length >= most) break;
  }
  return kept;
}
