import { gpuSize, WHOLE_GPU, type Ask, type Demand, type Kind, type Placed } from './ask.js';
import type { Fleet } from './fleet.js';
import { Fragments, type Weights } from './fragments.js';
import { boundDemand, pressureNow } from './pressure.js';
import { largestBlock, mixed, typicalKinds, type Block } from './typical.js';

/** What makes one node better than another. */
export interface PackingRule {
  /** Kinds count by the GPUs they ask for in so far as what is taken also comes back; else by their number, as in FGD. */
  readonly byGpusUnderChurn: boolean;
  /** Fragments are counted for kinds that may use the node's model; see Fragments. */
  readonly onlyAllowed: boolean;
  /** What a unit of pressure costs, in GPUs lost for each GPU taken. */
  readonly pressureGpus: number;
  /**
   * Under churn a node that is to be whole again gets no more work where it can be helped: the chance that one piece of work has left it
   * by the time that counts. 0: that is not looked at.
   */
  readonly leaves: number;
}

/**
 * Ours. While nothing is given back the best that can be done is FGD; once departures mend nodes, what counts is that whole ones
 * arise again: each kind counts by the GPUs that it would use, and nodes with little work are let run empty. A scarce model is kept
 * for those that can use nothing else.
 */
export const PACKING: PackingRule = { byGpusUnderChurn: true, onlyAllowed: true, pressureGpus: 2, leaves: 0.5 };

/** Arrivals that the share of departures is remembered over. */
const CHURN_WINDOW = 2_000;
/** The mix of weights moves in such steps: each one empties the cache. */
const CHURN_STEPS = 10;
/** Scores closer than this are equal: the first node is taken. */
const EQUAL = 1e-12;

/**
 * Chooses nodes: highest of (fragments before - fragments after - price of the model - what it keeps from draining), in GPUs. It
 * refuses only what no node can hold. Scores are kept until their node changes.
 */
export class Packer {
  private readonly counts: ReadonlyMap<Kind, number>;
  private readonly byCount: Weights;
  private readonly byGpus: Weights;
  private readonly bound: Float64Array;
  private readonly block: Block;
  private readonly pressure: Float64Array;
  private fragments: Fragments;
  private arrivals = 0;
  private departures = 0;
  private churnStep = 0;
  private readonly ofNode: Float64Array;
  private readonly ofNodeVersion: Uint32Array;
  private readonly cached = new Map<number, { score: Float64Array; gpu: Int8Array; version: Uint32Array }>();
  private readonly after: Int16Array;

  constructor(
    private readonly fleet: Fleet,
    demand: readonly Demand[],
    private readonly rule: PackingRule = PACKING,
    /** Share of what arrives that also departs, where that is known beforehand. */
    departing = 0,
  ) {
    const counts = new Map<Kind, number>();
    for (const { ask, count } of demand) counts.set(fleet.kindOf(ask), (counts.get(fleet.kindOf(ask)) ?? 0) + count);
    this.counts = counts;
    this.byCount = typicalKinds(this.counts, 0);
    this.byGpus = typicalKinds(this.counts, 1);
    this.bound = boundDemand(this.counts, fleet);
    this.block = largestBlock(this.counts, fleet);
    this.pressure = new Float64Array(this.bound.length);
    this.fragments = new Fragments(this.byCount, fleet.models.length, rule.onlyAllowed);
    this.ofNode = new Float64Array(fleet.size);
    this.ofNodeVersion = new Uint32Array(fleet.size);
    this.after = new Int16Array(fleet.stride);
    this.arrivals = departing > 0 ? CHURN_WINDOW : 0;
    this.departures = CHURN_WINDOW * departing;
    this.followChurn();
  }

  /** Takes the best place for an ask; null where no node can hold it. */
  place(ask: Ask): Placed | null {
    const kind = this.fleet.kindOf(ask);
    this.arrivals = this.arrivals * (1 - 1 / CHURN_WINDOW) + 1;
    this.departures *= 1 - 1 / CHURN_WINDOW;
    this.followChurn();
    const best = this.best(kind);
    return best === null ? null : { node: best.node, gpus: this.fleet.take(best.node, kind, best.gpu), kind };
  }

  /** Where an ask would go, without taking it; null where no node can hold it. */
  choose(ask: Ask): number | null {
    return this.best(this.fleet.kindOf(ask))?.node ?? null;
  }

  giveBack(placed: Placed): void {
    this.departures++;
    this.fleet.giveBack(placed.node, placed.kind, placed.gpus);
  }

  private followChurn(): void {
    if (!this.rule.byGpusUnderChurn) return;
    const share = Math.min(1, this.departures / Math.max(1, this.arrivals));
    const step = Math.round(share * CHURN_STEPS);
    if (step === this.churnStep) return;
    this.churnStep = step;
    const weights = mixed(this.byCount, this.byGpus, step / CHURN_STEPS);
    this.fragments = new Fragments(weights, this.fleet.models.length, this.rule.onlyAllowed);
    this.ofNodeVersion.fill(0);
    for (const { version } of this.cached.values()) version.fill(0);
  }

  private best(kind: Kind): { node: number; gpu: number } | null {
    const { fleet } = this;
    const cache = this.cacheOf(kind);
    const pressure = pressureNow(this.bound, fleet, this.pressure);
    const price = this.rule.pressureGpus * gpuSize(kind);
    let [best, bestScore] = [-1, -Infinity];
    for (let node = 0; node < fleet.size; node++) {
      const version = fleet.version[node] ?? 0;
      if ((cache.version[node] ?? 0) !== version) {
        cache.version[node] = version;
        cache.score[node] = fleet.holds(node, kind)
          ? this.gain(node, kind, cache.gpu) - this.keepsFromDraining(node, kind)
          : -Infinity;
      }
      const score = (cache.score[node] ?? 0) - price * (pressure[fleet.model[node] ?? 0] ?? 0);
      if (score > bestScore + EQUAL) [best, bestScore] = [node, score];
    }
    return best < 0 ? null : { node: best, gpu: cache.gpu[best] ?? 0 };
  }

  private cacheOf(kind: Kind): { score: Float64Array; gpu: Int8Array; version: Uint32Array } {
    const { size } = this.fleet;
    const kept = this.cached.get(kind.id);
    if (kept) return kept;
    const made = { score: new Float64Array(size), gpu: new Int8Array(size), version: new Uint32Array(size) };
    this.cached.set(kind.id, made);
    return made;
  }

  /** Fragments that placing the kind there removes; for a share also which GPU removes most, the fullest of equals. */
  private gain(node: number, kind: Kind, gpuOf: Int8Array): number {
    const { fleet, after } = this;
    const gpus = fleet.gpus[node] ?? 0;
    const before = this.fragmentsOf(node);
    for (let g = 0; g < gpus; g++) after[g] = fleet.leftOf(node, g);
    const left = (): number =>
      this.fragments.of(
        fleet.model[node] ?? 0,
        (fleet.cpuMilli[node] ?? 0) - kind.cpuMilli,
        (fleet.memoryMiB[node] ?? 0) - kind.memoryMiB,
        after,
        0,
        gpus,
      );
    if (kind.gpus === 0) return before - left();
    if (kind.gpuMilli === WHOLE_GPU) {
      let wanted = kind.gpus;
      for (let g = 0; g < gpus && wanted > 0; g++)
        if ((after[g] ?? 0) === WHOLE_GPU) {
          after[g] = 0;
          wanted--;
        }
      return before - left();
    }
    let [best, bestGain] = [-1, -Infinity];
    for (let g = 0; g < gpus; g++) {
      const room = fleet.leftOf(node, g);
      if (room < kind.gpuMilli) continue;
      after[g] = room - kind.gpuMilli;
      const gain = before - left();
      after[g] = room;
      const fuller = best >= 0 && room < fleet.leftOf(node, best);
      if (gain > bestGain + EQUAL || (fuller && gain > bestGain - EQUAL)) [best, bestGain] = [g, gain];
    }
    gpuOf[node] = best;
    return bestGain;
  }

  /**
   * What the node is worth less as a block, in GPUs: it is whole again when all its work has left, leaves^n, and one more piece of
   * work makes that leaves^(n+1).
   */
  private keepsFromDraining(node: number, kind: Kind): number {
    const { fleet, block, rule } = this;
    if (rule.leaves === 0 || kind.gpus === 0 || kind.gpus >= block.gpus || (fleet.gpus[node] ?? 0) < block.gpus)
      return 0;
    const churn = this.churnStep / CHURN_STEPS;
    return churn * block.worthGpus * (1 - rule.leaves) * rule.leaves ** (fleet.residents[node] ?? 0);
  }

  private fragmentsOf(node: number): number {
    const { fleet } = this;
    const version = fleet.version[node] ?? 0;
    if ((this.ofNodeVersion[node] ?? 0) !== version) {
      this.ofNodeVersion[node] = version;
      this.ofNode[node] = this.fragments.of(
        fleet.model[node] ?? 0,
        fleet.cpuMilli[node] ?? 0,
        fleet.memoryMiB[node] ?? 0,
        fleet.left,
        node * fleet.stride,
        fleet.gpus[node] ?? 0,
      );
    }
    return this.ofNode[node] ?? 0;
  }
}
