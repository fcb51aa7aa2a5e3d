import { checkEnd } from './checks/end.js';
import { Broken, History, type Wrongness } from './history.js';
import type { Reached } from './reached.js';
import type { Scenario } from './scenario.js';

export interface Outcome {
  readonly digest: string;
  /** What did not hold; null = all did. */
  readonly broken: string | null;
  readonly trace: readonly string[];
  readonly events: number;
  readonly simulatedMs: number;
  readonly reached: Reached;
}

/** Lives one scenario from its first event to its end. */
export async function live(scenario: Scenario, wrong: Wrongness = {}): Promise<Outcome> {
  const history = new History(scenario, wrong);
  let broken: string | null;
  try {
    await history.run();
    checkEnd(history);
    broken = history.failures[0] ?? null;
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    broken = error.message;
  }
  const { kernel, reached } = history;
  return {
    digest: kernel.digest(),
    broken,
    trace: kernel.trace,
    events: kernel.events,
    simulatedMs: kernel.elapsedMs,
    reached,
  };
}
