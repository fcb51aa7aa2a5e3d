import {
  speculationCost,
  waitForLongest,
  withAnswers,
  type FactorEffect,
  type Factors,
  type Speculation,
} from './factors.js';
import { servingSpeed, type ServingCase, type ServingSpeed } from './serving.js';

/** Requests that an engine runs at once unless told otherwise (vLLM's `max_num_seqs`). */
export const MAX_BATCH = 256;

export interface LatencyTarget {
  readonly ttftMs?: number | undefined;
  readonly tpotMs?: number | undefined;
}

/** A case before the batch is chosen, prompts in full. */
export type ReplicaCase = Omit<ServingCase, 'batch'>;

/** The speed of a replica with its factors. */
export function speedWith(c: ReplicaCase, batch: number, factors: Factors): ServingSpeed | null {
  const inputTokens = Math.max(1, c.inputTokens * (1 - factors.promptCacheHitShare));
  const served: ServingCase = { ...c, inputTokens, batch };
  const plain = servingSpeed(served);
  if (plain === null) return null;
  const speculated = factors.speculation ? withAnswers(plain, speculationCost(served, factors.speculation)) : plain;
  return factors.continuousBatching ? speculated : withAnswers(speculated, waitForLongest(batch));
}

export function meets(speed: ServingSpeed, target: LatencyTarget): boolean {
  return (
    (target.ttftMs === undefined || speed.ttftS * 1_000 <= target.ttftMs) &&
    (target.tpotMs === undefined || speed.tpotS * 1_000 <= target.tpotMs)
  );
}

export interface ChosenBatch {
  readonly batch: number;
  readonly speed: ServingSpeed;
  readonly meetsLatency: boolean;
}

/** The largest batch up to `most` that meets the target; a batch of one when none does. */
export function chooseBatch(c: ReplicaCase, most: number, factors: Factors, target: LatencyTarget): ChosenBatch | null {
  const at = (batch: number): ChosenBatch | null => {
    const speed = speedWith(c, batch, factors);
    return speed && { batch, speed, meetsLatency: meets(speed, target) };
  };
  const full = at(most);
  if (full === null || full.meetsLatency || most === 1) return full;
  const single = at(1);
  if (single === null || !single.meetsLatency) return single;
  // Time per token and to the first token grow with the batch: halve the range.
  let [low, high] = [single, most];
  while (high - low.batch > 1) {
    const middle = at(Math.floor((low.batch + high) / 2));
    if (middle === null) return low;
    if (middle.meetsLatency) low = middle;
    else high = middle.batch;
  }
  return low;
}

/** Values at which a factor that is off is shown: middling figures of published services. */
const usualHitShare = 0.5;
const usualSpeculation: Speculation = { acceptRate: 0.7, draftTokens: 4 };

/** What each factor does, or would do, at this batch. */
export function factorEffects(c: ReplicaCase, batch: number, factors: Factors): FactorEffect[] {
  const rate = (f: Factors): number => speedWith(c, batch, f)?.requestsPerS ?? 0;
  const ratio = (w: Factors, wo: Factors): number => {
    const without = rate(wo);
    return without > 0 ? rate(w) / without : 1;
  };
  const hits = factors.promptCacheHitShare > 0 ? factors.promptCacheHitShare : usualHitShare;
  const speculation = factors.speculation ?? usualSpeculation;
  const percent = (share: number): string => `${Math.round(share * 100)} %`;
  return [
    {
      name: 'continuous-batching',
      on: factors.continuousBatching,
      multiplier: ratio({ ...factors, continuousBatching: true }, { ...factors, continuousBatching: false }),
      note: `new requests join ${batch} running ones instead of waiting for the longest answer`,
    },
    {
      name: 'prompt-caching',
      on: factors.promptCacheHitShare > 0,
      multiplier: ratio({ ...factors, promptCacheHitShare: hits }, { ...factors, promptCacheHitShare: 0 }),
      note: `${percent(hits)} of prompt tokens found in a cached prefix`,
    },
    {
      name: 'speculative-decoding',
      on: factors.speculation !== null,
      multiplier: ratio({ ...factors, speculation }, { ...factors, speculation: null }),
      note: `${speculation.draftTokens} tokens drafted per step, ${percent(speculation.acceptRate)} accepted; gains shrink as the batch grows`,
    },
  ];
}
