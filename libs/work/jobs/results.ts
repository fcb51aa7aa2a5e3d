import { batchLine, type BatchResultLine } from '#contracts';
import { within, type Actor, type Store } from '#platform/database';
import { artifacts, Artifacts } from '#compute/artifacts';
import { shards, type JobRow, type ShardRow } from './jobs.table.js';

/**
 * The result file of a batch: the accepted results of every shard in input order, and one error line for each request of a
 * shard that failed for good, so that every `custom_id` has exactly one line once the job has ended.
 */
export async function* batchResults(store: Store, of: Artifacts, actor: Actor, job: JobRow): AsyncIterable<Uint8Array> {
  const rows = await store.transaction(actor, (tx) =>
    tx.find(shards, { jobId: job.id, ...within(actor) }, { orderBy: [['n', 'asc']] }),
  );
  const ended = job.state === 'succeeded' || job.state === 'failed' || job.state === 'cancelled';
  for (const shard of rows) {
    if (shard.state === 'done' && shard.resultKey !== null) yield* await of.objects.get(shard.resultKey);
    else if (ended && shard.state === 'failed') yield* errorLines(store, of, actor, job, shard);
  }
}

async function* errorLines(
  store: Store,
  of: Artifacts,
  actor: Actor,
  job: JobRow,
  shard: ShardRow,
): AsyncIterable<Uint8Array> {
  const { spec } = job;
  if (spec.kind !== 'batch-inference') return;
  const input = await store.transaction(actor, (tx) =>
    tx.first(artifacts, { id: spec.inputArtifactId, deletedAt: { isNull: true }, ...within(actor) }),
  );
  if (!input) return;
  const parts: Uint8Array[] = [];
  for await (const part of await of.objects.getRange(input.objectKey, shard.byteFrom, shard.byteTo)) parts.push(part);
  for (const raw of Buffer.concat(parts).toString('utf8').split('\n')) {
    if (raw.trim() === '') continue;
    const line = batchLine.parse(JSON.parse(raw));
    const out: BatchResultLine = {
      id: `${shard.id}-${line.custom_id}`,
      custom_id: line.custom_id,
      response: null,
      error: {
        code: job.state === 'cancelled' ? 'batch_cancelled' : 'shard_failed',
        message: shard.message ?? 'the work could not be done',
      },
    };
    yield Buffer.from(`${JSON.stringify(out)}\n`);
  }
}
