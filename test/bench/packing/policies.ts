import { SeededRandom } from '#kernel';
import {
  Fleet,
  Packer,
  WHOLE_GPU,
  type Ask,
  type Demand,
  type Kind,
  type NodeSpec,
  type PackingRule,
  type Placed,
} from '#market/packing';

/** What a policy does with arrivals and departures; it may refuse only what no node can hold. */
export interface Policy {
  place(ask: Ask): Placed | null;
  giveBack(placed: Placed): void;
}

/** What a policy is made of: the nodes in its order, what is asked for, and chance. */
export interface Setting {
  readonly nodes: readonly NodeSpec[];
  readonly demand: readonly Demand[];
  readonly random: SeededRandom;
}

export const POLICIES = {
  ours: (s: Setting): Policy => new Packer(new Fleet(s.nodes), s.demand),
  fgd: (s: Setting): Policy => new Packer(new Fleet(s.nodes), s.demand, FGD),
  bestFit: (s: Setting): Policy => new Simple(new Fleet(s.nodes), fewestWholeLeft),
  firstFit: (s: Setting): Policy => new Simple(new Fleet(s.nodes), firstOf),
  firstFitShuffledA: (s: Setting): Policy => new Simple(new Fleet(shuffled(s.nodes, 1)), firstOf),
  firstFitShuffledB: (s: Setting): Policy => new Simple(new Fleet(shuffled(s.nodes, 2)), firstOf),
  random: (s: Setting): Policy => new Simple(new Fleet(s.nodes), (fleet, kind) => anyOf(fleet, kind, s.random)),
} as const;
export type PolicyName = keyof typeof POLICIES;
export const POLICY_NAMES = Object.keys(POLICIES) as PolicyName[];

/** Fragmentation gradient descent alone, as published: kinds count by their number, on every model. */
const FGD: PackingRule = { byGpusUnderChurn: false, onlyAllowed: false, pressureGpus: 0, leaves: 0 };

type Choose = (fleet: Fleet, kind: Kind) => number;

/** A rule that looks at what is free only; shares go to the fullest GPU that holds them. */
class Simple implements Policy {
  constructor(
    private readonly fleet: Fleet,
    private readonly choose: Choose,
  ) {}

  place(ask: Ask): Placed | null {
    const kind = this.fleet.kindOf(ask);
    const node = this.choose(this.fleet, kind);
    if (node < 0) return null;
    const gpu = kind.gpus > 0 && kind.gpuMilli < WHOLE_GPU ? this.fleet.fullestThatHolds(node, kind.gpuMilli) : -1;
    return { node, gpus: this.fleet.take(node, kind, gpu), kind };
  }

  giveBack(placed: Placed): void {
    this.fleet.giveBack(placed.node, placed.kind, placed.gpus);
  }
}

function firstOf(fleet: Fleet, kind: Kind): number {
  for (let node = 0; node < fleet.size; node++) if (fleet.holds(node, kind)) return node;
  return -1;
}

function anyOf(fleet: Fleet, kind: Kind, random: SeededRandom): number {
  const can: number[] = [];
  for (let node = 0; node < fleet.size; node++) if (fleet.holds(node, kind)) can.push(node);
  return can[Math.floor(random.float() * can.length)] ?? -1;
}

/** The node with the fewest whole GPUs free. */
function fewestWholeLeft(fleet: Fleet, kind: Kind): number {
  let [best, fewest] = [-1, Infinity];
  for (let node = 0; node < fleet.size; node++) {
    const whole = fleet.wholeFree[node] ?? 0;
    if (whole < fewest && fleet.holds(node, kind)) [best, fewest] = [node, whole];
  }
  return best;
}

/** Another order of the nodes, always the same for a number. */
function shuffled(nodes: readonly NodeSpec[], order: number): NodeSpec[] {
  const random = new SeededRandom(order);
  const keyed = nodes.map((node) => ({ node, key: random.float() }));
  return keyed.toSorted((a, b) => a.key - b.key).map(({ node }) => node);
}
