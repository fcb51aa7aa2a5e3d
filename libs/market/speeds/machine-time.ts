import type { ShardTimeRow } from './speeds.table.js';

/**
 * Seconds for which one machine worked on these shards. Shards are assigned together and end one by one, so each adds the
 * time since it was assigned or since the end before it, whichever is later; `throughMs` is the end that was counted last.
 */
export function busySeconds(
  shards: readonly Pick<ShardTimeRow, 'assignedAt' | 'at'>[],
  throughMs: number | null,
): number {
  let through = throughMs ?? -Infinity;
  let ms = 0;
  for (const { assignedAt, at } of shards.toSorted((a, b) => a.at - b.at)) {
    ms += Math.max(0, at - Math.max(assignedAt, through));
    through = Math.max(through, at);
  }
  return ms / 1_000;
}
