import { SeededRandom } from '#kernel';
import { drawFaults, type Fault } from './faults.js';

/** All that makes one history; the same scenario gives the same trace. */
export interface Scenario {
  readonly seed: number;
  readonly workers: number;
  /** Numbers of the tenant's jobs that are submitted; each job draws its own nature from the seed and its number. */
  readonly jobs: readonly number[];
  readonly faults: readonly Fault[];
}

export interface PlannedJob {
  readonly n: number;
  readonly atMs: number;
  readonly kind: 'batch' | 'command';
  readonly lines: number;
  readonly keepWarmS: number;
  /** Nano-dollars; undefined = the broker's own estimate. */
  readonly maxCost: string | undefined;
  /** A cap or a credit that may not last. */
  readonly poor: boolean;
  /** After this long the tenant wants no more of it. */
  readonly cancelAfterMs: number | null;
  readonly timeoutS: number;
}

export function drawScenario(seed: number): Scenario {
  const random = new SeededRandom(`scenario/${seed}`);
  const workers = random.int(2, 3);
  const jobs = Array.from({ length: random.int(2, 4) }, (_, n) => n + 1);
  return { seed, workers, jobs, faults: drawFaults(seed, workers) };
}

export function planJob(seed: number, n: number): PlannedJob {
  const random = new SeededRandom(`job/${seed}/${n}`);
  const poor = random.float() < 0.15;
  const enough = random.float() < 0.5 ? undefined : '300000000';
  return {
    n,
    atMs: random.int(500, 150_000),
    kind: random.float() < 0.25 ? 'command' : 'batch',
    // A poor one lasts longer than what it has.
    lines: poor ? random.int(200, 500) : random.int(5, 70),
    keepWarmS: random.float() < 0.4 ? random.int(20, 200) : 0,
    maxCost: poor ? String(random.int(5, 14)) + '000000' : enough,
    poor,
    cancelAfterMs: random.float() < 0.2 ? random.int(1_000, 90_000) : null,
    timeoutS: random.float() < 0.1 ? random.int(30, 120) : 1_200,
  };
}
