import { isolationOf, type Offer, type RejectionDimension } from '#contracts';
import type { Demand } from '../fit/demand.js';
import { softwareWish, type SoftwareFigures } from './software.js';
import { dollars, duration, durationLimit, type Figures } from './words.js';

/** Dimensions that hold nobody's wish: time or another observation changes them, not the tenant. */
const notWished: ReadonlySet<RejectionDimension> = new Set(['doubtful', 'stale', 'no-stock', 'cooling-down']);

/**
 * How far a set of constraints is from letting its nearest offer in: doublings of what is asked in a figure, one for a
 * list that must grow, two for what no change of the constraints brings about.
 */
export function distanceOf(
  demand: Demand,
  dimensions: readonly RejectionDimension[],
  figures: Figures,
  nearest: Offer,
): number {
  return dimensions.reduce((sum, d) => sum + stepOf(demand, d, figures, nearest), 0);
}

function stepOf(demand: Demand, dimension: RejectionDimension, figures: Figures, nearest: Offer): number {
  const { workload } = demand;
  const doublings = (more: number, less: number): number => (more > 0 && less > 0 ? Math.log2(more / less) : 10);
  switch (dimension) {
    case 'price-cap':
      return doublings(figures.pricePerHour, demand.maxPricePerHour);
    case 'budget':
      return doublings(figures.spent, demand.maxTotal);
    case 'deadline':
      return doublings(figures.p90S, demand.deadlineS);
    case 'count':
      return doublings(demand.count, nearest.count);
    case 'cpu':
      return doublings(workload.minVcpus ?? 0, nearest.vcpus ?? 0);
    case 'memory':
      return doublings(workload.minRamGiB ?? 0, nearest.ramGiB ?? 0);
    default:
      return notWished.has(dimension) ? 2 : 1;
  }
}

/** What cannot be had together, and the figure that would do; null where no wish of the tenant is in the way. */
export function contradictionOf(
  demand: Demand,
  dimensions: readonly RejectionDimension[],
  figures: Figures,
  nearest: Offer,
  software: SoftwareFigures,
): string | null {
  const wishes = dimensions.flatMap((d) =>
    d === 'compatibility'
      ? software.newest.map((lack) => softwareWish(lack, software.offers))
      : (wishOf(demand, d, figures, nearest) ?? []),
  );
  if (wishes.length === 0) return null;
  const asked = wishes.map((w) => w.asked).join(' and ');
  return `${subjectOf(demand, dimensions.includes('accelerator'))} with ${asked}: ${wishes.map((w) => w.found).join(', ')}.`;
}

/** The models are left to the wish for them where that is in the way. */
function subjectOf({ workload, count }: Demand, anyModel: boolean): string {
  const { accelerator, nodes } = workload;
  const models = anyModel ? undefined : accelerator?.models?.join(' or ');
  const some = count === 1 ? '1 accelerator' : `${count} accelerators`;
  if (count === 0) return nodes > 1 ? `${nodes} machines` : 'A machine';
  const machine = models === undefined ? some : `${count} x ${models}`;
  return nodes > 1 ? `${nodes} machines of ${machine}` : machine;
}

function wishOf(
  demand: Demand,
  dimension: RejectionDimension,
  figures: Figures,
  nearest: Offer,
): { asked: string; found: string } | null {
  const { workload, maxPricePerHour, maxTotal, deadlineS } = demand;
  const { accelerator: wanted, constraints } = workload;
  const list = (names: readonly string[] | undefined): string => (names ?? []).join(', ');
  switch (dimension) {
    case 'price-cap':
      return {
        asked: `a price cap of ${dollars(maxPricePerHour)} per hour`,
        found: `the cheapest match is ${dollars(figures.pricePerHour)} per hour`,
      };
    case 'budget':
      return {
        asked: `a budget of ${dollars(maxTotal)}`,
        found: `the cheapest match costs ${dollars(figures.spent)} in all`,
      };
    case 'deadline':
      return {
        asked: Number.isFinite(deadlineS)
          ? `a deadline of ${duration(deadlineS)}`
          : 'that much work and these checkpoints',
        found: Number.isFinite(figures.p90S)
          ? `the fastest match takes ${durationLimit(figures.p90S)} nine times in ten`
          : 'no match would ever finish it',
      };
    case 'count':
      return { asked: `all ${demand.count} in one machine`, found: `the nearest match has ${nearest.count}` };
    case 'isolation':
      return {
        asked: `isolation ${wanted?.isolation ?? 'whole-gpu'}`,
        found: `the nearest match has ${isolationOf(nearest) ?? 'none'}`,
      };
    case 'vram':
      return wanted?.minVramGiB === undefined
        ? { asked: 'weights of that size', found: 'they fit no match' }
        : {
            asked: `${wanted.minVramGiB} GiB per accelerator`,
            found: `the nearest match has ${nearest.vramGiB} GiB`,
          };
    case 'interconnect':
      return {
        asked: `an ${wanted?.interconnect ?? 'inner'} link`,
        found: `the link of the nearest match is ${nearest.interconnect.intraNode}`,
      };
    case 'cpu':
      return {
        asked: `${workload.minVcpus ?? 0} vCPUs`,
        found: `the nearest match has ${nearest.vcpus ?? 'no known number of them'}`,
      };
    case 'memory':
      return {
        asked: `${workload.minRamGiB ?? 0} GiB of memory`,
        found: `the nearest match has ${nearest.ramGiB === null ? 'an unknown amount' : `${nearest.ramGiB} GiB`}`,
      };
    case 'nodes':
      return { asked: `${workload.nodes} machines together`, found: 'no match is known to have a fabric fast enough' };
    case 'accelerator':
      return wanted?.models
        ? { asked: `the model ${wanted.models.join(' or ')}`, found: `the nearest match has ${nearest.accelerator}` }
        : null;
    case 'region':
      return { asked: `regions ${list(constraints.regions)}`, found: `the nearest match is in ${nearest.region}` };
    case 'country':
      return {
        asked: `countries ${list(constraints.countries)}`,
        found: `the nearest match is in ${nearest.country ?? 'an unknown country'}`,
      };
    case 'provider':
      return {
        asked: constraints.providers ? `providers ${list(constraints.providers)}` : 'those providers excluded',
        found: `the nearest match is sold by ${nearest.providerId}`,
      };
    case 'provider-kind':
      return {
        asked: `providers of kind ${list(constraints.providerKinds)}`,
        found: `the nearest match is ${nearest.providerKind}`,
      };
    case 'pricing':
      return { asked: `${list(constraints.pricing)} pricing`, found: `the nearest match is ${nearest.pricing}` };
    case 'certification':
      return {
        asked: `certificates ${demand.certifications.join(', ')}`,
        found: `the nearest match has ${nearest.certifications.join(', ') || 'none'}`,
      };
    default:
      return null;
  }
}
