import { answerOf, BrokerRefused, createJob, listJobs, type Client } from '#client';
import { jobStates, type JobView } from '#contracts';
import { divRound, formatUsd } from '#kernel';
import { follow } from '../jobs/follow.js';
import { rawRequest, type Login } from '../session.js';
import { dollars, duration } from '../text.js';
import type { Stage, Teller } from './stage.js';

export interface Told {
  readonly login: Login;
  readonly client: Client;
}

export interface Batch {
  readonly model: string;
  /** Also the label by which an unfinished one of an earlier run is found again. */
  readonly name: string;
  readonly body: string;
}

/** For work that has to wait for a busy machine, Berth wants to hear the cap: $1. */
const CAP_WHEN_BUSY = '1000000000';
const BAR = 28;
const ENDED: readonly JobView['state'][] = ['succeeded', 'failed', 'cancelled'];

/**
 * Submits a batch and follows it to its end. When an earlier run was killed meanwhile, its job went on without it: that one
 * is followed then. `onFirst` hears when the first result is there.
 */
export async function runBatch(
  stage: Stage,
  told: Told,
  title: string,
  of: Batch,
  onFirst: () => void = () => undefined,
): Promise<JobView> {
  return stage.step(title, async (tell) => {
    const submitted = (await unfinished(told, of, tell)) ?? (await submit(told, of, tell));
    const { linesTotal, shardsTotal } = submitted.progress;
    tell.found(`${linesTotal} requests in ${shardsTotal} shards; ${dollars(submitted.cost.cap)} set aside at most`);
    const began = Date.now();
    const before = submitted.progress.linesOk;
    let first = false;
    const job = await follow(
      told.login,
      submitted.id,
      {
        onChange: (message) => tell.found(message),
        onProgress: (view) => {
          if (view.progress.linesOk > 0 && !first) onFirst();
          first ||= view.progress.linesOk > 0;
          const rate = (view.progress.linesOk - before) / Math.max(0.001, (Date.now() - began) / 1_000);
          tell.progress(progressText(view, rate));
        },
      },
      new AbortController().signal,
    );
    if (job.state !== 'succeeded' || job.progress.linesOk !== linesTotal)
      throw new Error(
        `job ${job.id} ended as ${job.state}: ${job.reason ?? `${job.progress.linesFailed} lines failed`}`,
      );
    const seconds = (Date.parse(job.endedAt ?? '') - Date.parse(job.startedAt ?? '')) / 1_000;
    tell.found(
      `${job.progress.linesOk} results in ${duration(seconds)}: ${(job.progress.linesOk / seconds).toFixed(0)} a second, charged ${small(job.cost.charged)}`,
    );
    return job;
  });
}

/** What a small job costs, to a hundredth of a cent. */
export function small(nano: string | bigint): string {
  const step = 100_000n;
  return formatUsd(divRound(BigInt(nano), step) * step, 4);
}

export function progressText({ progress, state, cost }: JobView, perSecond: number): string {
  const { linesTotal, linesOk, linesFailed, shardsDone, shardsTotal } = progress;
  const filled = linesTotal === 0 ? 0 : Math.floor(((linesOk + linesFailed) / linesTotal) * BAR);
  const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR - filled)}`;
  if (linesOk === 0) return `${bar} ${state}`;
  return `${bar} ${linesOk}/${linesTotal} results, ${shardsDone}/${shardsTotal} shards, ${perSecond.toFixed(0)} a second, ${small(BigInt(cost.charged) + BigInt(cost.running))} so far`;
}

async function unfinished({ client }: Told, of: Batch, tell: Teller): Promise<JobView | undefined> {
  for (const state of jobStates.filter((s) => !ENDED.includes(s))) {
    const { items } = await answerOf(listJobs({ client, query: { state, limit: 50 } }));
    const job = items.find((j) => j.labels['demo'] === of.name);
    if (!job) continue;
    tell.found(`an earlier run was cut off; its job ${job.id} went on, and is followed now`);
    // The generated types and the contract describe the same answer.
    return job as unknown as JobView;
  }
  return undefined;
}

async function submit(told: Told, of: Batch, tell: Teller): Promise<JobView> {
  const inputArtifactId = await uploadText(told.login, of.name, of.body);
  const spec = { kind: 'batch-inference' as const, model: of.model, inputArtifactId };
  const body = { name: of.name, spec, labels: { demo: of.name } };
  const create = async (more: { maxCost?: string }): Promise<JobView> =>
    (await answerOf(createJob({ client: told.client, body: { ...body, ...more } as never }))) as unknown as JobView;
  try {
    return await create({});
  } catch (error) {
    if (!(error instanceof BrokerRefused) || error.problem.code !== 'nothing-fits') throw error;
    tell.found('this machine is busy with another job; this one is queued behind it');
    return create({ maxCost: CAP_WHEN_BUSY });
  }
}

async function uploadText(login: Login, name: string, body: string): Promise<`art_${string}`> {
  const response = await rawRequest(login, 'POST', `/v1/artifacts?name=${encodeURIComponent(name)}`, {
    headers: { 'content-type': 'application/x-ndjson' },
    body,
  });
  return ((await response.json()) as { id: `art_${string}` }).id;
}
