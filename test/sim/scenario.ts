import { SeededRandom } from '#kernel';
import { drawFaults, type Fault } from './faults.js';
import type { Restore } from './restored.js';

/** All that makes one history; the same scenario gives the same trace. */
export interface Scenario {
  readonly seed: number;
  readonly workers: number;
  /** Numbers of the tenant's jobs that are submitted; each job draws its own nature from the seed and its number. */
  readonly jobs: readonly number[];
  readonly faults: readonly Fault[];
  readonly restore?: Restore;
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
  const jobs = Array.from({ length: isFleet(seed) ? 6 : random.int(2, 4) }, (_, n) => n + 1);
  return { seed, workers, jobs, faults: drawFaults(seed, workers) };
}

/** In some worlds many machines run at once. */
const isFleet = (seed: number): boolean => seed % 6 === 3;

/** A world without faults in which the database is put back to what it was a while ago. */
export function drawRestore(seed: number): Scenario {
  const random = new SeededRandom(`restore/${seed}`);
  const backupAtMs = random.int(5_000, 120_000);
  const atMs = backupAtMs + random.int(10_000, 150_000);
  return { ...drawScenario(seed), faults: [], restore: { backupAtMs, atMs } };
}

export function planJob(seed: number, n: number): PlannedJob {
  const random = new SeededRandom(`job/${seed}/${n}`);
  const poor = random.float() < 0.15;
  const enough = random.float() < 0.5 ? undefined : '300000000';
  return {
    n,
    atMs: random.int(500, isFleet(seed) ? 20_000 : 150_000),
    kind: random.float() < 0.25 ? 'command' : 'batch',
    // A poor one lasts longer than what it has.
    lines: poor ? random.int(200, 500) : random.int(5, 70),
    keepWarmS: isFleet(seed) || random.float() < 0.4 ? random.int(20, 200) : 0,
    maxCost: poor ? String(random.int(5, 14)) + '000000' : enough,
    poor,
    cancelAfterMs: random.float() < 0.2 ? random.int(1_000, 90_000) : null,
    timeoutS: random.float() < 0.1 ? random.int(30, 120) : 1_200,
  };
}
