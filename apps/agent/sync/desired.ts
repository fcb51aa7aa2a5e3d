import type { WorkItem } from '#contracts';

/**
 * A (work, fence) that this agent holds. `finished` has a report; `stopping` was told to end and has not yet; `interrupted` was
 * running when an earlier life of the agent ended.
 */
export interface Held {
  readonly workId: string;
  readonly fence: number;
  readonly phase: 'running' | 'stopping' | 'interrupted' | 'finished';
  /** It was told to save what it has. */
  readonly checkpoint?: boolean;
  /** The broker has taken in the final report. */
  readonly acknowledged: boolean;
}

export type Step =
  | { readonly do: 'start'; readonly item: WorkItem }
  | { readonly do: 'stop'; readonly workId: string; readonly fence: number }
  | { readonly do: 'forget'; readonly workId: string; readonly fence: number };

/**
 * What brings the work at hand to the desired work. Pure and repeatable: carrying out the steps and asking again gives none.
 *
 * - What runs and is not desired (or desired under a higher fence) stops.
 * - What was interrupted runs again under the same fence if it is still desired, else it is forgotten.
 * - What is finished is forgotten only when it is acknowledged and no longer desired: before that it would be run again.
 * - A higher fence waits until the lower one of the same work has stopped; a lower one never
 *   starts beside it.
 * - Never more than `slots` at once, in the broker's order; the rest waits for a free one.
 */
export function reconcile(held: readonly Held[], desired: readonly WorkItem[], slots: number): Step[] {
  const wanted = new Set(desired.map(keyOf));
  const highest = new Map<string, number>();
  for (const item of [...desired, ...held])
    highest.set(item.workId, Math.max(item.fence, highest.get(item.workId) ?? 0));

  const steps: Step[] = [];
  for (const work of held) {
    const current = wanted.has(keyOf(work)) && highest.get(work.workId) === work.fence;
    if (work.phase === 'running' && !current) steps.push({ do: 'stop', workId: work.workId, fence: work.fence });
    const over = work.phase === 'interrupted' || (work.phase === 'finished' && work.acknowledged);
    if (over && !current) {
      steps.push({ do: 'forget', workId: work.workId, fence: work.fence });
    }
  }

  const occupied = held.filter((work) => work.phase === 'running' || work.phase === 'stopping');
  const occupiedWorks = new Set(occupied.map((work) => work.workId));
  const settled = new Set(held.filter((work) => work.phase === 'finished').map(keyOf));
  let free = slots - occupied.length;
  for (const item of desired) {
    if (free <= 0) break;
    if (settled.has(keyOf(item)) || occupiedWorks.has(item.workId) || highest.get(item.workId) !== item.fence) continue;
    steps.push({ do: 'start', item });
    occupiedWorks.add(item.workId);
    free--;
  }
  return steps;
}

/** How many further works the broker may send: slots that neither run something nor are promised to a desired work. */
export function capacity(held: readonly Held[], desired: readonly WorkItem[], slots: number): number {
  const known = new Set(held.map(keyOf));
  const waiting = desired.filter((item) => !known.has(keyOf(item))).length;
  const unfinished = held.filter((work) => work.phase !== 'finished').length;
  return Math.max(0, slots - unfinished - waiting);
}

export function keyOf(work: { readonly workId: string; readonly fence: number }): string {
  return `${work.workId}/${work.fence}`;
}
