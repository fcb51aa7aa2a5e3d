import { hash32 } from '#kernel';
import { reliabilityOf, type Reliability } from '#market/reliability';
import { DOUBTFUL, offerAt, RENTABLE, type OfferIndex } from './catalog-index.js';
import { egressDollarsPerGB, type PlacementContext } from '../context.js';
import { timeTerms, type TimeTerms } from '../cost/cost.js';
import { narrowBeliefs } from './narrow-beliefs.js';
import { marginalPrices } from './owned.js';
import { softwareTrust } from '../fit/compatibility.js';
import type { Demand } from '../fit/demand.js';
import {
  bitOf,
  isCoolingDown,
  machineFailures,
  placeFailures,
  sellerFailures,
  staleBefore,
  type Failures,
} from '../fit/filter.js';

/** A workload compiled against one index: every constraint answered per dictionary entry, cost terms per distinct case. */
export interface Compiled {
  readonly index: OfferIndex;
  readonly context: PlacementContext;
  readonly demand: Demand;
  readonly machineFailures: Int32Array;
  readonly placeFailures: Int32Array;
  readonly sellerFailures: Int32Array;
  readonly flagFailures: Int32Array;
  /** Per seller: observations before this moment are stale. */
  readonly staleBeforeMs: Float64Array;
  /** Per machine: code of its useful time, -1 = none. Per seller: code of its reliability and billing. */
  readonly machineCase: Int32Array;
  readonly sellerCase: Int32Array;
  /** Code of a seller (by its position) under a belief; codes are given as they are asked for. */
  readonly sellerCaseOf: (seller: number, belief: Reliability) => number;
  /** Per seller: what is believed of the provider as a whole. By position: what is known more narrowly. */
  readonly beliefs: readonly Reliability[];
  readonly narrowBelief: ((position: number) => Reliability | undefined) | null;
  /** `sellerCase * usefulS.length + machineCase` to terms; filled when first asked. */
  readonly terms: (TimeTerms | undefined)[];
  readonly usefulS: readonly number[];
  /** Per machine: belief that is left where something that is needed is not known; null where nothing is needed. */
  readonly trust: Float64Array | null;
  /** Nano-dollars per hour that the offer costs who asks: nothing where they own such machines already. */
  readonly priceAt: (position: number) => number;
  readonly isBlocked: ((position: number) => boolean) | null;
}

export function compile(index: OfferIndex, demand: Demand, context: PlacementContext): Compiled {
  const usefulS: number[] = [];
  const machineBits = new Int32Array(index.machines.length);
  const machineCase = new Int32Array(index.machines.length).fill(-1);
  const caseOfTime = new Map<number, number>();
  index.machines.forEach((machine, m) => {
    const found = machineFailures(context, demand, machine);
    machineBits[m] = found.failures;
    if (found.usefulS === null) return;
    let code = caseOfTime.get(found.usefulS);
    if (code === undefined) {
      code = usefulS.push(found.usefulS) - 1;
      caseOfTime.set(found.usefulS, code);
    }
    machineCase[m] = code;
  });
  const { needs } = demand.workload;
  const sellers = compileSellers(index, demand, context);
  const flagFailures = new Int32Array(4);
  for (let flags = 0; flags < 4; flags++) {
    const listed = context.scope === 'rentable' && !(flags & RENTABLE);
    flagFailures[flags] = (listed ? bitOf('not-rentable') : 0) | (flags & DOUBTFUL ? bitOf('doubtful') : 0);
  }
  return {
    index,
    context,
    demand,
    machineFailures: machineBits,
    placeFailures: Int32Array.from(index.places, (place) => placeFailures(demand, place)),
    flagFailures,
    machineCase,
    ...sellers,
    narrowBelief: narrowBeliefs(index, context),
    terms: [],
    usefulS,
    trust: needs ? Float64Array.from(index.machines, (machine) => softwareTrust(needs, machine)) : null,
    priceAt: marginalPrices(index, context, demand.workload.nodes),
    isBlocked: blockedTest(index, context),
  };
}

function compileSellers(index: OfferIndex, demand: Demand, context: PlacementContext) {
  const ranks = new Map<Reliability, number>();
  const cases = new Map<string, number>();
  const known = index.sellers.map(() => new Map<Reliability, number>());
  const sellerCaseOf = (s: number, belief: Reliability): number => {
    const before = known[s]?.get(belief);
    const seller = index.sellers[s];
    if (before !== undefined || !seller) return before ?? 0;
    const { providerKind, pricing, via, billing } = seller;
    const rank = ranks.get(belief) ?? ranks.size;
    ranks.set(belief, rank);
    const egress = egressDollarsPerGB(context, seller);
    const key = `${rank}|${providerKind}|${pricing}|${via.kind}|${billing.minimumS}|${billing.incrementS}|${egress}`;
    const code = cases.get(key) ?? cases.size;
    cases.set(key, code);
    known[s]?.set(belief, code);
    return code;
  };
  const sellerCase = new Int32Array(index.sellers.length);
  const beliefs: Reliability[] = [];
  const staleBeforeMs = new Float64Array(index.sellers.length);
  const failures = new Int32Array(index.sellers.length);
  index.sellers.forEach((seller, s) => {
    const { providerKind, pricing, providerId, via } = seller;
    const belief = reliabilityOf({ providerKind, pricing, providerId, via: via.kind }, context.reliability);
    beliefs.push(belief);
    sellerCase[s] = sellerCaseOf(s, belief);
    staleBeforeMs[s] = staleBefore(context, seller.source);
    failures[s] = sellerFailures(context, demand, seller);
  });
  return { sellerCase, sellerCaseOf, beliefs, staleBeforeMs, sellerFailures: failures };
}

/** Failure memory as a test by position: a hash bitmap answers for nearly all offers without touching them. */
function blockedTest(index: OfferIndex, context: PlacementContext): ((position: number) => boolean) | null {
  const active = context.coolingDown.filter((c) => c.untilMs > context.nowMs);
  if (active.length === 0) return null;
  const byId = new Uint8Array(1 << 16);
  const providers = new Set<string>();
  for (const { scope } of active) {
    if (scope.kind === 'offer') byId[hash32(scope.offerId) & 0xffff] = 1;
    else providers.add(scope.providerId);
  }
  const bySeller = Uint8Array.from(index.sellers, (s) => (providers.has(s.providerId) ? 1 : 0));
  const narrowed = { ...context, coolingDown: active };
  return (i) =>
    (byId[(index.idHash[i] ?? 0) & 0xffff] === 1 || bySeller[index.seller[i] ?? 0] === 1) &&
    isCoolingDown(narrowed, offerAt(index, i));
}

/** All failing constraints of one offer but failure memory and cost; columns are bound once, since this runs per offer. */
export function constraintTest(c: Compiled): (position: number) => Failures {
  const { machine, place, seller, flags, observedAtMs, stock } = c.index;
  const { machineFailures: ofMachine, placeFailures: ofPlace, sellerFailures: ofSeller, flagFailures: ofFlags } = c;
  const { staleBeforeMs } = c;
  const { nodes } = c.demand.workload;
  const stale = bitOf('stale');
  const noStock = bitOf('no-stock');
  return (i) => {
    const s = seller[i] ?? 0;
    const machines = stock[i] ?? -1;
    return (
      (ofMachine[machine[i] ?? 0] ?? 0) |
      (ofPlace[place[i] ?? 0] ?? 0) |
      (ofSeller[s] ?? 0) |
      (ofFlags[flags[i] ?? 0] ?? 0) |
      ((observedAtMs[i] ?? 0) < (staleBeforeMs[s] ?? 0) ? stale : 0) |
      (machines >= 0 && machines < nodes ? noStock : 0)
    );
  };
}

/** The time side of that offer's cost; undefined where the work has no known time there. */
export function termsAt(c: Compiled, i: number): TimeTerms | undefined {
  const s = c.index.seller[i] ?? 0;
  const machineCase = c.machineCase[c.index.machine[i] ?? 0] ?? -1;
  if (machineCase < 0) return undefined;
  const seller = c.index.sellers[s];
  const narrow = c.narrowBelief?.(i);
  const sellerCase = narrow ? c.sellerCaseOf(s, narrow) : (c.sellerCase[s] ?? 0);
  const key = sellerCase * c.usefulS.length + machineCase;
  const known = c.terms[key];
  if (known) return known;
  const usefulS = c.usefulS[machineCase];
  const belief = narrow ?? c.beliefs[s];
  if (!seller || usefulS === undefined || !belief) return undefined;
  return (c.terms[key] = timeTerms(c.context, c.demand, seller, usefulS, belief));
}
