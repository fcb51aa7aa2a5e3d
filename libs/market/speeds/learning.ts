import { createHash } from 'node:crypto';
import { StaleVersion } from '#kernel';
import { isProfile, loadModelLibrary, usefulSeconds, type MeasuredMachines, type ModelLibrary } from '#hardware';
import { WORKER, type Store, type Tx } from '#platform/database';
import { measuredSpeed, noSpeedEvidence, observeSpeed, type SpeedEvidence } from './evidence.js';
import { busySeconds } from './machine-time.js';
import { servingSpeeds, shardTimes, type ShardTimeRow } from './speeds.table.js';

/** Shards folded in one transaction. */
const BATCH = 500;
/** Less work than this tells of overheads, not of speed. */
const LEAST_S = 10;
/** Tokens are counted by machines that are not ours: nobody is believed to be so many times as fast as predicted, or as slow. */
const BELIEVED = 8;
/** How long the last end of a machine is kept: no shard is given out for longer. */
const KEPT_MS = 24 * 3_600_000;
/** After two half-lives little is left of what nobody has seen again. */
const FORGOTTEN_MS = 60 * 24 * 3_600_000;
/** Speeds that are looked at: those that were heard of last. */
const LOOKED_AT = 20_000;

type Served = Pick<ShardTimeRow, 'accelerator' | 'units' | 'parametersB' | 'bytesPerParameter'>;

/** Models are one when their sizes differ by rounding only (3 %). */
export function servedOn(of: Served): string {
  const size = Math.round(Math.log(of.parametersB) / 0.03);
  return `${encodeURIComponent(of.accelerator)}/${of.units}/${size}/${of.bytesPerParameter}`;
}

/** The end of a shard, as its job tells it. */
export interface ShardEnd extends Omit<ShardTimeRow, 'folded' | 'heardFrom' | 'parametersB' | 'bytesPerParameter'> {
  readonly organizationId: string;
  readonly model: string;
}

let library: ModelLibrary | undefined;

/** Size and width of a model that Berth's own tables know; what a workload says of it is its tenant's claim, and counts for nothing. */
function sizeOf(model: string): Pick<ShardTimeRow, 'parametersB' | 'bytesPerParameter'> | null {
  const found = (library ??= loadModelLibrary()).find(model);
  if (!isProfile(found)) return null;
  return { parametersB: found.parameters / 1e9, bytesPerParameter: found.publishedBits / 8 };
}

const digestOf = (organizationId: string): string =>
  createHash('sha256').update(organizationId).digest('base64url').slice(0, 16);

/** Written with the shard's own end: one insert, no row that others wait for. Models of unknown size teach nothing. */
export async function noteShardTimes(tx: Tx, ends: readonly ShardEnd[]): Promise<void> {
  const rows = ends.flatMap(({ organizationId, model, ...end }) => {
    const size = sizeOf(model);
    return size ? [{ ...end, ...size, heardFrom: digestOf(organizationId), folded: false }] : [];
  });
  if (rows.length > 0) await tx.insertNew(shardTimes, rows);
}

/** Folds the oldest shards that wait into the speeds of what they ran on. Returns how many there were. */
export async function foldShardTimes(tx: Tx): Promise<number> {
  const waiting = await tx.find(
    shardTimes,
    { folded: false },
    {
      orderBy: [
        ['at', 'asc'],
        ['id', 'asc'],
      ],
      limit: BATCH,
    },
  );
  if (waiting.length === 0) return 0;
  const now = await tx.now();
  const ids = waiting.map((r) => r.id);
  const leases = [...new Set(waiting.map((r) => r.leaseId))];
  const earlier = await tx.find(shardTimes, { leaseId: { in: leases }, folded: true });
  // Two workers may read the same: who marks them first folds them.
  const taken = await tx.update(shardTimes, { id: { in: ids }, folded: false }, { folded: true });
  if (taken.length !== waiting.length) throw new StaleVersion('shard times', ids[0] ?? '');
  const known = new Map<string, SpeedEvidence>();
  const seen = [...new Set(waiting.map(servedOn))].sort();
  for (const row of await tx.find(servingSpeeds, { what: { in: seen } })) known.set(row.what, row.evidence);
  const done: string[] = earlier.map((r) => r.id);
  for (const leaseId of leases) {
    const shards = waiting.filter((r) => r.leaseId === leaseId);
    const before = earlier.filter((r) => r.leaseId === leaseId).map((r) => r.at);
    learn(known, shards, before.length > 0 ? Math.max(...before) : null);
    // Of each machine the last end stays: the next shards are counted from there.
    const last = shards.at(-1);
    done.push(...shards.filter((r) => r !== last).map((r) => r.id));
  }
  if (done.length > 0) await tx.remove(shardTimes, { id: { in: done } });
  await tx.remove(shardTimes, { folded: true, at: { lt: now - KEPT_MS } });
  await tx.upsert(
    servingSpeeds,
    seen.flatMap((what) => {
      const evidence = known.get(what);
      return evidence ? [{ what, evidence, updatedAt: now }] : [];
    }),
  );
  return waiting.length;
}

/** One machine's shards of one fold are one run: they are not independent of each other. */
function learn(known: Map<string, SpeedEvidence>, shards: readonly ShardTimeRow[], throughMs: number | null): void {
  const first = shards[0];
  const last = shards.at(-1);
  if (!first || !last || new Set(shards.map((r) => `${servedOn(r)} ${r.heardFrom}`)).size > 1) return;
  const seconds = busySeconds(shards, throughMs);
  const tokens = shards.reduce((sum, r) => sum + r.tokens, 0);
  if (seconds < LEAST_S || tokens <= 0) return;
  const { accelerator, units, parametersB, bytesPerParameter } = first;
  const work = {
    kind: 'tokens',
    inputTokens: tokens / 2,
    outputTokens: tokens / 2,
    parametersB,
    bytesPerParameter,
  } as const;
  const predictedS = usefulSeconds(work, accelerator, units, units);
  if (predictedS === null || seconds * BELIEVED < predictedS || seconds > predictedS * BELIEVED) return;
  const what = servedOn(first);
  known.set(
    what,
    observeSpeed(known.get(what) ?? noSpeedEvidence(last.at), tokens / seconds, last.at, first.heardFrom),
  );
}

/** Folds all that waits, and forgets what nobody has seen for long. Safe beside itself: who comes second finds nothing. */
export async function learnFromShards(store: Store): Promise<number> {
  let folded = 0;
  await store.transaction(WORKER, async (tx) =>
    tx.remove(servingSpeeds, { updatedAt: { lt: (await tx.now()) - FORGOTTEN_MS } }),
  );
  try {
    for (;;) {
      const n = await store.transaction(WORKER, foldShardTimes);
      if (n === 0) return folded;
      folded += n;
    }
  } catch (error) {
    if (error instanceof StaleVersion) return folded;
    throw error;
  }
}

/** Speeds of whole machines as Berth saw them, as of now. */
export async function learntSpeeds(tx: Tx): Promise<MeasuredMachines> {
  const rows = await tx.find(servingSpeeds, {}, { orderBy: [['updatedAt', 'desc']], limit: LOOKED_AT });
  const now = await tx.now();
  const known = new Map(rows.map((r) => [r.what, measuredSpeed(r.evidence, now)]));
  return (of) => known.get(servedOn(of));
}
