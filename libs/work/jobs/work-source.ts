import { DomainError, type Clock } from '#kernel';
import type { LogLine, WorkItem, WorkReport } from '#contracts';
import { WORKER, type Store, type Tx } from '#platform/database';
import type { WakeQueue } from '#platform/reconcile';
import type { AgentRow, WorkSource } from '#compute/agents';
import { Leases, type LeaseRow } from '#compute/leases';
import { Metering } from '#money/metering';
import { jobLogs, jobs, resultKey, shards, type JobRow, type ShardRow } from './jobs.table.js';

export interface JobWorkDeps {
  readonly store: Store;
  readonly leases: Leases;
  readonly metering: Metering;
  readonly wake: WakeQueue;
  readonly clock: Clock;
}

/** An agent gets this long for one shard before the broker hands it out again. */
const SHARD_DEADLINE_MS = 6 * 3_600_000;

type DoneReport = Extract<WorkReport, { state: 'done' }>;
type FailedReport = Extract<WorkReport, { state: 'failed' }>;

/**
 * Hands shards to agents and takes their results, each once: a shard moves pending -> assigned with a new fence, and only
 * the live fence from the live lease can finish it. All of an agent's authority is its own leases' work.
 */
export class JobWork implements WorkSource {
  constructor(private readonly d: JobWorkDeps) {}

  async report(
    tx: Tx,
    agent: AgentRow,
    reports: readonly WorkReport[],
    logs: readonly LogLine[],
  ): Promise<{ workId: string; fence: number }[]> {
    const ids = [...new Set([...reports.map((r) => r.workId), ...logs.map((l) => l.workId)])];
    const known = new Map((await tx.find(shards, { id: { in: ids } })).map((s) => [s.id, s]));
    const own = new Map((await this.d.leases.ofAgent(tx, agent.id)).map((l) => [l.id, l]));
    const mine = (shard: ShardRow | undefined): LeaseRow | undefined =>
      shard?.leaseId == null ? undefined : own.get(shard.leaseId);
    await this.keepLogs(tx, logs, (id) => (mine(known.get(id)) ? known.get(id) : undefined));
    const acknowledged: { workId: string; fence: number }[] = [];
    for (const report of reports) {
      const shard = known.get(report.workId);
      const lease = mine(shard);
      if (report.state === 'running') continue;
      // Late, repeated or foreign: nothing to take, and the agent need not keep it.
      acknowledged.push({ workId: report.workId, fence: report.fence });
      if (!shard || !lease || shard.state !== 'assigned' || shard.fence !== report.fence) continue;
      if (report.state === 'done' && (report.exitCode ?? 0) === 0) await this.done(tx, shard, lease, report);
      else await this.failed(tx, shard, report);
    }
    return acknowledged;
  }

  private async done(tx: Tx, shard: ShardRow, lease: LeaseRow, report: DoneReport): Promise<void> {
    const { inputTokens, outputTokens } = report.counts;
    // Told by a machine that is not ours: no more than there are.
    const ok = Math.min(report.counts.ok, shard.lineTo - shard.lineFrom);
    const failed = Math.min(report.counts.failed, shard.lineTo - shard.lineFrom - ok);
    const [taken] = await tx.update(
      shards,
      { id: shard.id, state: 'assigned', fence: report.fence, leaseId: lease.id },
      {
        state: 'done',
        resultKey: report.resultSha256 === null ? null : resultKey(shard, report.fence),
        resultSha256: report.resultSha256,
        linesOk: ok,
        linesFailed: failed,
        exitCode: report.exitCode,
        message: null,
      },
    );
    if (!taken) return;
    const now = await tx.now();
    await this.d.metering.shardCounts(
      tx,
      {
        id: shard.id,
        leaseId: lease.id,
        organizationId: shard.organizationId,
        projectId: shard.projectId,
        jobId: shard.jobId,
        providerId: lease.providerId,
        resource: 'batch-inference',
        fromMs: shard.assignedAt ?? now,
        toMs: now,
      },
      { 'input-tokens': inputTokens, 'output-tokens': outputTokens, lines: ok },
    );
    await this.count(tx, shard.jobId, { shardsDone: { add: 1 }, linesOk: { add: ok }, linesFailed: { add: failed } });
  }

  /** A command that ended badly has failed; a shard that the machine could not do is tried again, up to the job's attempts. */
  private async failed(tx: Tx, shard: ShardRow, report: FailedReport | DoneReport): Promise<void> {
    const job = await tx.first(jobs, { id: shard.jobId });
    if (!job) return;
    const exitCode = report.exitCode;
    const message = report.state === 'failed' ? `${report.code}: ${report.message}` : `exit code ${exitCode}`;
    const final = exitCode !== null || shard.failures + 1 >= job.maxAttempts;
    const [moved] = await tx.update(
      shards,
      { id: shard.id, state: 'assigned', fence: report.fence },
      {
        state: final ? 'failed' : 'pending',
        failures: { add: 1 },
        exitCode,
        message: message.slice(0, 2_000),
        leaseId: null,
        ...(final ? { linesFailed: shard.lineTo - shard.lineFrom } : {}),
      },
    );
    if (moved && final)
      await this.count(tx, shard.jobId, {
        shardsFailed: { add: 1 },
        linesFailed: { add: shard.lineTo - shard.lineFrom },
      });
  }

  /** Adds to the job's counters; the last shard also wakes the job, with a new version so that no one writes over it. */
  private async count(tx: Tx, jobId: string, add: Parameters<typeof tx.update<JobRow>>[2]): Promise<void> {
    const [job] = await tx.update(jobs, { id: jobId }, add);
    if (!job || job.shardsDone + job.shardsFailed < job.shardsTotal) return;
    await tx.update(jobs, { id: jobId }, { wakeAt: await tx.now(), version: { add: 1 } });
    tx.afterCommit(() => this.d.wake.wake('job', jobId).catch(() => undefined));
  }

  async desired(tx: Tx, agent: AgentRow, capacity: number, known: ReadonlySet<string>): Promise<WorkItem[]> {
    const own = await this.d.leases.ofAgent(tx, agent.id);
    if (own.length === 0) return [];
    const leaseIds = own.map((l) => l.id);
    const held = await tx.find(shards, { leaseId: { in: leaseIds }, state: 'assigned' }, { orderBy: [['id', 'asc']] });
    const taken: ShardRow[] = [];
    const room = capacity - held.filter((s) => !known.has(s.id)).length;
    if (room > 0) taken.push(...(await this.claim(tx, own, room)));
    const all = [...held, ...taken];
    if (all.length === 0) return [];
    const jobRows = new Map(
      (await tx.find(jobs, { id: { in: [...new Set(all.map((s) => s.jobId))] } })).map((j) => [j.id, j]),
    );
    return all.flatMap((shard) => {
      const job = jobRows.get(shard.jobId);
      return job ? [toWorkItem(shard, job)] : [];
    });
  }

  private async claim(tx: Tx, own: readonly LeaseRow[], capacity: number): Promise<ShardRow[]> {
    const leaseOf = new Map(own.flatMap((l) => (l.jobId === null ? [] : [[l.jobId, l.id]])));
    const open = await tx.find(
      shards,
      { jobId: { in: [...leaseOf.keys()] }, state: 'pending' },
      {
        orderBy: [
          ['jobId', 'asc'],
          ['n', 'asc'],
        ],
        limit: capacity,
        lock: 'skip-locked',
      },
    );
    const taken: ShardRow[] = [];
    const now = await tx.now();
    for (const [jobId, leaseId] of leaseOf) {
      const ids = open.filter((s) => s.jobId === jobId).map((s) => s.id);
      if (ids.length === 0) continue;
      taken.push(
        ...(await tx.update(
          shards,
          { id: { in: ids }, state: 'pending' },
          { state: 'assigned', leaseId, assignedAt: now, fence: { add: 1 } },
        )),
      );
    }
    return taken.toSorted((a, b) => a.n - b.n);
  }

  private async keepLogs(
    tx: Tx,
    logs: readonly LogLine[],
    shardOf: (id: string) => ShardRow | undefined,
  ): Promise<void> {
    const rows = logs.flatMap((line) => {
      const shard = shardOf(line.workId);
      if (!shard) return [];
      const { organizationId, projectId, jobId } = shard;
      return [
        {
          workId: line.workId,
          fence: line.fence,
          n: line.n,
          organizationId,
          projectId,
          jobId,
          at: Date.parse(line.at),
          stream: line.stream,
          text: line.text.replaceAll('\u0000', ''),
        },
      ];
    });
    if (rows.length > 0) await tx.insertNew(jobLogs, rows);
  }

  /** The jobs whose work an agent holds now. */
  async assignedTo(agent: AgentRow): Promise<JobRow[]> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const own = await this.d.leases.ofAgent(tx, agent.id);
      const ids = own.flatMap((l) => (l.jobId === null ? [] : [l.jobId]));
      return ids.length === 0 ? [] : tx.find(jobs, { id: { in: ids } });
    });
  }

  /** The shard that an agent may read the input of or send a result for; throws not-found for any other, conflict for an old fence. */
  async authorize(agent: AgentRow, workId: string, fence: number | null): Promise<{ shard: ShardRow; job: JobRow }> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const shard = await tx.first(shards, { id: workId });
      const lease = shard?.leaseId == null ? null : await this.d.leases.get(tx, shard.leaseId);
      const job = shard ? await tx.first(jobs, { id: shard.jobId }) : null;
      if (!shard || !job || !lease || lease.agentId !== agent.id || lease.state === 'ended') {
        throw new DomainError('conflict', 'not-your-work', 'This work is not assigned to this agent (any more).', {
          fix: 'Drop it and sync.',
        });
      }
      if (fence !== null && (shard.state !== 'assigned' || shard.fence !== fence)) {
        throw new DomainError('conflict', 'old-fence', `Fence ${fence} is not the live one.`, {
          fix: 'Drop this result and sync.',
        });
      }
      return { shard, job };
    });
  }
}

function toWorkItem(shard: ShardRow, job: JobRow): WorkItem {
  const base = {
    workId: shard.id,
    jobId: job.id,
    leaseId: shard.leaseId ?? '',
    fence: shard.fence,
    deadlineAt: new Date(
      Math.min(job.timeoutAt, (shard.assignedAt ?? job.createdAt) + SHARD_DEADLINE_MS),
    ).toISOString(),
  };
  const { spec } = job;
  if (spec.kind === 'batch-inference') {
    return {
      ...base,
      spec: {
        kind: 'batch-inference',
        model: spec.model,
        inputPath: `/agent/v1/inputs/${shard.id}`,
        lineFrom: shard.lineFrom,
        lineTo: shard.lineTo,
      },
    };
  }
  return {
    ...base,
    spec: {
      kind: 'command',
      command: spec.command,
      env: spec.env,
      inputs: spec.inputs.map((i) => ({ path: i.path, from: `/agent/v1/artifacts/${i.artifactId}` })),
      outputs: spec.outputs,
      timeoutS: Math.max(1, Math.round((job.timeoutAt - job.createdAt) / 1_000)),
    },
  };
}
