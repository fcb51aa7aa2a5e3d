import type { RejectionDimension, Workload } from '#contracts';
import { constraintTest, termsAt, type Compiled } from '../columns/compiled.js';
import { spentNano } from '../cost/cost.js';
import { offerAt, type OfferIndex } from '../columns/catalog-index.js';
import { compatibility } from '../fit/compatibility.js';
import type { Demand } from '../fit/demand.js';
import { dimensionsIn, costFailures, bitOf, type Failures } from '../fit/filter.js';
import { contradictionOf, distanceOf } from './contradictions.js';
import { newestOf, type SoftwareFigures } from './software.js';
import { dollars, durationLimit, type Figures } from './words.js';

/** The mildest figures seen among the offers that one set of failures holds back. */
interface Group extends Figures {
  offers: number;
  /** The cheapest of them. */
  nearest: number;
  nearestSpent: number;
  nearestPrice: number;
  nearestP90S: number;
  /** Codes of their machines, where their software is in the way. */
  readonly machines: Set<number>;
}

/** What to relax when nothing fits, and what cannot be had together; both in the order of the nearest relaxation. */
export interface Hints {
  readonly hints: readonly string[];
  readonly contradictions: readonly string[];
}

export const NO_HINTS: Hints = { hints: [], contradictions: [] };

const MOST_HINTS = 5;

/**
 * When nothing fits: which smallest set of constraints, if relaxed, lets offers in, the mildest change first.
 * Offers are grouped by the whole set of constraints they fail; only the groups with the fewest failures count.
 */
export class Relaxations {
  private readonly groups = new Map<Failures, Group>();
  private readonly failuresAt: (position: number) => Failures;
  private fewest = Infinity;
  private next = 0;

  constructor(private readonly c: Compiled) {
    this.failuresAt = constraintTest(c);
  }

  /** Looks at the next `count` offers; false when none is left. */
  advance(count: number): boolean {
    const to = Math.min(this.c.index.size, this.next + count);
    for (let i = this.next; i < to; i++) this.look(i);
    this.next = to;
    return to < this.c.index.size;
  }

  private look(i: number): void {
    const { c, groups } = this;
    let failures = this.failuresAt(i) | (c.isBlocked?.(i) ? bitOf('cooling-down') : 0);
    if (countOf(failures) > this.fewest) return;
    const price = c.index.pricePerHour[i] ?? 0;
    const terms = termsAt(c, i);
    const spent = terms && Number.isFinite(terms.p90S) ? spentNano(terms, price) : Infinity;
    if (terms) failures |= costFailures(c.demand, terms.machines, price, spent, terms.p90S);
    const count = countOf(failures);
    if (count > this.fewest) return;
    if (count < this.fewest) groups.clear();
    this.fewest = count;
    const group = groups.get(failures) ?? {
      ...{ offers: 0, pricePerHour: Infinity, spent: Infinity, p90S: Infinity },
      ...{
        nearest: i,
        nearestSpent: Infinity,
        nearestPrice: Infinity,
        nearestP90S: Infinity,
        machines: new Set<number>(),
      },
    };
    if (failures & bitOf('compatibility')) group.machines.add(c.index.machine[i] ?? 0);
    group.offers++;
    const cheaper = spent - group.nearestSpent || price - group.nearestPrice || 0;
    const same = spent === group.nearestSpent && price === group.nearestPrice;
    if (cheaper < 0 || (same && c.index.idAt(i) < c.index.idAt(group.nearest)) || group.offers === 1) {
      group.nearest = i;
      group.nearestSpent = spent;
      group.nearestPrice = price;
      group.nearestP90S = terms?.p90S ?? Infinity;
    }
    group.pricePerHour = Math.min(group.pricePerHour, price * c.demand.workload.nodes);
    group.spent = Math.min(group.spent, spent);
    group.p90S = Math.min(group.p90S, terms?.p90S ?? Infinity);
    groups.set(failures, group);
  }

  /** Sentences, once all offers have been looked at. */
  hints(): Hints {
    const { c } = this;
    const { demand, index } = c;
    if (index.size === 0)
      return {
        hints: ['There are no offers to choose from: connect a provider or load a price list.'],
        contradictions: [],
      };
    const found = [...this.groups]
      .map(([failures, group]) => {
        const dimensions = dimensionsIn(failures);
        const nearest = offerAt(index, group.nearest);
        return { dimensions, group, nearest, distance: distanceOf(demand, dimensions, group, nearest) };
      })
      .sort(
        (a, b) =>
          a.distance - b.distance ||
          b.group.offers - a.group.offers ||
          (a.dimensions.join() < b.dimensions.join() ? -1 : 1),
      )
      .slice(0, MOST_HINTS);
    return {
      hints: found.map(({ dimensions, group }) => {
        const limits = dimensions.filter((d) => isLimit(d)).length;
        // The mildest figures of two limits may be those of two offers: together they are the nearest one's.
        const figures = limits > 1 ? nearestFigures(demand, group) : group;
        const change = dimensions.map((d) => relaxation(demand, d, figures)).join(', and ');
        return `${change.charAt(0).toUpperCase()}${change.slice(1)}: then ${fitting(group.offers, limits > 0)}.`;
      }),
      contradictions: found.flatMap(({ dimensions, group, nearest }) => {
        const software = softwareOf(demand, group, index);
        return contradictionOf(demand, dimensions, group, nearest, software) ?? [];
      }),
    };
  }
}

/** Dimensions that are relaxed to a figure, which is that of one offer. */
const isLimit = (d: RejectionDimension): boolean => d === 'price-cap' || d === 'budget' || d === 'deadline';

const nearestFigures = ({ workload }: Demand, group: Group): Figures => ({
  pricePerHour: group.nearestPrice * workload.nodes,
  spent: group.nearestSpent,
  p90S: group.nearestP90S,
});

function fitting(offers: number, toFigure: boolean): string {
  if (offers === 1) return '1 offer fits';
  return toFigure ? `the first of ${offers} offers fits` : `${offers} offers fit`;
}

/** What to relax, over all offers at once. */
export function hintsFor(c: Compiled): Hints {
  const relaxations = new Relaxations(c);
  relaxations.advance(c.index.size);
  return relaxations.hints();
}

/** What the software of the machines of a group lacks. */
function softwareOf({ workload }: Demand, { machines, offers }: Group, index: OfferIndex): SoftwareFigures {
  const shortfalls = [...machines].flatMap((code) => {
    const machine = index.machines[code];
    return machine ? compatibility(workload.needs, machine).shortfalls : [];
  });
  return { offers, newest: newestOf(shortfalls) };
}

/** How many bits are set. */
function countOf(failures: Failures): number {
  let n = 0;
  for (let rest = failures; rest !== 0; rest &= rest - 1) n++;
  return n;
}

/** "CUDA 12.4 and driver 550". */
function needsText(needs: Workload['needs']): string {
  const words = [
    ['CUDA', needs?.cuda],
    ['ROCm', needs?.rocm],
    ['driver', needs?.driver],
    ['compute capability', needs?.computeCapability],
  ];
  return words.flatMap(([what, version]) => (version === undefined ? [] : [`${what} ${version}`])).join(' and ');
}

/** What to do about one dimension, in words that start with a verb. */
export function relaxation(demand: Demand, dimension: RejectionDimension, group: Figures): string {
  const { workload } = demand;
  const wanted = workload.accelerator;
  switch (dimension) {
    case 'not-rentable':
      return 'connect a provider that has such machines (they are listed only)';
    case 'accelerator':
      return wanted?.models
        ? `allow other accelerators than ${wanted.models.join(', ')}`
        : 'allow accelerators of another kind';
    case 'count':
      return `ask for fewer than ${demand.count} accelerators per machine`;
    case 'isolation':
      return 'allow parts of an accelerator (isolation mig or time-slice)';
    case 'vram':
      return wanted?.minVramGiB === undefined
        ? 'take fewer bytes per parameter or more accelerators, so that the weights fit'
        : `ask for less than ${wanted.minVramGiB} GiB per accelerator`;
    case 'interconnect':
      return `drop the wish for ${wanted?.interconnect ?? 'a link'}`;
    case 'compatibility':
      return `need less than ${needsText(workload.needs)}`;
    case 'cpu':
      return `ask for fewer than ${workload.minVcpus ?? 0} vCPUs`;
    case 'memory':
      return `ask for less than ${workload.minRamGiB ?? 0} GiB of memory`;
    case 'nodes':
      return `ask for one machine instead of ${workload.nodes} (no fabric fast enough for more is known there)`;
    case 'region':
      return 'allow other regions';
    case 'country':
      return 'allow other countries';
    case 'provider':
      return 'allow other providers';
    case 'provider-kind':
      return 'allow other kinds of providers';
    case 'pricing':
      return 'allow other pricing models';
    case 'certification':
      return `drop a certificate of ${demand.certifications.join(', ')}`;
    case 'doubtful':
      return 'wait for a new observation (what was seen of them is in doubt)';
    case 'stale':
      return 'refresh the offers (they were seen too long ago)';
    case 'no-stock':
      return 'wait for stock';
    case 'cooling-down':
      return 'wait a little (they failed lately)';
    case 'price-cap':
      return `raise the price cap to ${dollars(group.pricePerHour)} per hour`;
    case 'budget':
      return `raise the budget to ${dollars(group.spent)}`;
    case 'deadline':
      return Number.isFinite(group.p90S)
        ? `allow ${durationLimit(group.p90S)} until the deadline`
        : 'take shorter checkpoints or less work: it would never be finished there';
  }
}
