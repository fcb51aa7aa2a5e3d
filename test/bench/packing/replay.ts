import { SeededRandom } from '#kernel';
import { gpuSize, type Ask, type Demand, type NodeSpec, type Placed } from '#market/packing';
import { Departures } from './departures.js';
import { POLICIES, type PolicyName } from './policies.js';

/** What one policy did; shares of 1. */
export interface Outcome {
  /** GPUs in use over all GPUs: in the mean of the time, or at the end where nothing departs. */
  readonly allocationRatio: number;
  /** Refused requests for eight whole GPUs, of all of them. */
  readonly refusedWholeNode: number;
  /** Refused requests for less, of all of them. */
  readonly refusedSmall: number;
}

export interface World {
  readonly nodes: readonly NodeSpec[];
  readonly asks: readonly Ask[];
}

const WHOLE_NODE = 8;

/**
 * Arrivals drawn from the asks with replacement; what cannot be placed is gone. Every policy sees the same arrivals and lifetimes.
 * Nothing departs; arrivals end when as many GPUs have been asked for as there are.
 */
export function inflation(world: World, policy: PolicyName, seed: number): Outcome {
  const run = new Run(world, policy, seed);
  while (run.asked < run.totalGpus) run.arrive(run.draw());
  return run.outcome(run.used / run.totalGpus);
}

/**
 * Poisson arrivals, exponential lifetimes with mean 1, so many that they ask for `load` of the GPUs. As many as there are in the mean
 * come at the start (what is left of an exponential lifetime is another one); counted is from `warmUp` lifetimes on, when departures
 * have left their holes, for `counted` lifetimes.
 */
export function churn(
  world: World,
  policy: PolicyName,
  load: number,
  seed: number,
  span: { readonly warmUp: number; readonly counted: number },
): Outcome {
  const run = new Run(world, policy, seed);
  const departures = new Departures<Placed>();
  const perLifetime = (load * run.totalGpus) / run.meanSize;
  const end = span.warmUp + span.counted;
  let [now, gpuTime] = [0, 0];
  const until = (time: number): void => {
    gpuTime += run.used * Math.max(0, time - Math.max(now, span.warmUp));
    now = time;
  };
  const welcome = (): void => {
    const ask = run.draw();
    const lifetime = run.exponential();
    const placed = run.arrive(ask);
    if (placed) departures.add(now + lifetime, placed);
  };
  run.counting = false;
  for (let n = 0; n < perLifetime; n++) welcome();
  for (;;) {
    const next = now + run.exponential() / perLifetime;
    if (next >= end) break;
    for (let left = departures.dueBy(next); left; left = departures.dueBy(next)) {
      until(left.at);
      run.leave(left.what);
    }
    until(next);
    run.counting = now >= span.warmUp;
    welcome();
  }
  return run.outcome(gpuTime / Math.max(Number.EPSILON, now - span.warmUp) / run.totalGpus);
}

class Run {
  readonly totalGpus: number;
  readonly meanSize: number;
  asked = 0;
  used = 0;
  counting = true;
  private readonly random: SeededRandom;
  private readonly policy;
  private readonly asks: readonly Ask[];
  private readonly count = { whole: 0, wholeRefused: 0, small: 0, smallRefused: 0 };

  constructor(world: World, policy: PolicyName, seed: number) {
    this.asks = world.asks;
    this.random = new SeededRandom(seed);
    this.totalGpus = world.nodes.reduce((sum, n) => sum + n.gpus, 0);
    this.meanSize = world.asks.reduce((sum, a) => sum + gpuSize(a), 0) / world.asks.length;
    const demand = [...demandOf(world.asks)];
    this.policy = POLICIES[policy]({ nodes: world.nodes, demand, random: new SeededRandom(`any ${seed}`) });
  }

  draw(): Ask {
    return this.random.pick(this.asks);
  }

  exponential(): number {
    return -Math.log(1 - this.random.float());
  }

  arrive(ask: Ask): Placed | null {
    const placed = this.policy.place(ask);
    const size = gpuSize(ask);
    this.asked += size;
    if (placed) this.used += size;
    if (this.counting) {
      const whole = ask.gpus === WHOLE_NODE;
      this.count[whole ? 'whole' : 'small']++;
      if (!placed) this.count[whole ? 'wholeRefused' : 'smallRefused']++;
    }
    return placed;
  }

  leave(placed: Placed): void {
    this.policy.giveBack(placed);
    this.used -= gpuSize(placed.kind);
  }

  outcome(allocationRatio: number): Outcome {
    const { whole, wholeRefused, small, smallRefused } = this.count;
    return {
      allocationRatio,
      refusedWholeNode: wholeRefused / Math.max(1, whole),
      refusedSmall: smallRefused / Math.max(1, small),
    };
  }
}

function demandOf(asks: readonly Ask[]): Iterable<Demand> {
  const counts = new Map<Ask, number>();
  for (const ask of asks) counts.set(ask, (counts.get(ask) ?? 0) + 1);
  return [...counts].map(([ask, count]) => ({ ask, count }));
}
