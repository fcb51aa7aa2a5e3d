import { DomainError, type Clock } from '#kernel';
import type { LogLine, WorkItem, WorkReport } from '#contracts';
import { WORKER, type Store, type Tx } from '#platform/database';
import type { WakeQueue } from '#platform/reconcile';
import type { AgentRow, WorkSource } from '#compute/agents';
import type { Hosts } from '#compute/hosts';
import { checkpointDue, Leases, type LeaseRow } from '#compute/leases';
import { noteShardTimes } from '#market/speeds';
import type { Metering, ShardUsage, TokenUsage } from '#money/metering';
import { jobLogs, jobs, resultKey, shards, type JobRow, type ShardRow } from './jobs.table.js';
import { admitted } from './placing/rate-room.js';
import { JobSight } from './sight.js';
import { toWorkItem } from './work-item.js';

export interface JobWorkDeps {
  readonly store: Store;
  readonly leases: Leases;
  readonly metering: Metering;
  readonly hosts: Pick<Hosts, 'devicesOf'>;
  readonly wake: WakeQueue;
  readonly clock: Clock;
}

/** Shards that one machine holds at a time at most; more capacity than this is not asked for. */
const HELD_AT_MOST = 1_000;

interface Counts {
  readonly shardsDone: number;
  readonly shardsFailed: number;
  readonly linesOk: number;
  readonly linesFailed: number;
}

function added(a: Counts | undefined, b: Counts): Counts {
  return {
    shardsDone: (a?.shardsDone ?? 0) + b.shardsDone,
    shardsFailed: (a?.shardsFailed ?? 0) + b.shardsFailed,
    linesOk: (a?.linesOk ?? 0) + b.linesOk,
    linesFailed: (a?.linesFailed ?? 0) + b.linesFailed,
  };
}

type DoneReport = Extract<WorkReport, { state: 'done' }>;
type FailedReport = Extract<WorkReport, { state: 'failed' }>;

/**
 * Hands shards to agents and takes their results, each once: a shard moves pending -> assigned with a new fence, and only
 * the live fence from the live lease can finish it. All of an agent's authority is its own leases' work.
 */
export class JobWork implements WorkSource {
  constructor(private readonly d: JobWorkDeps) {}

  look(tx: Tx, agent: AgentRow): JobSight {
    return new JobSight(tx, agent, this.d.leases);
  }

  async report(
    sight: JobSight,
    reports: readonly WorkReport[],
    logs: readonly LogLine[],
  ): Promise<{ workId: string; fence: number }[]> {
    const { tx } = sight;
    const ids = [...new Set([...reports.map((r) => r.workId), ...logs.map((l) => l.workId)])];
    const known = new Map((await tx.find(shards, { id: { in: ids } })).map((s) => [s.id, s]));
    const own = new Map((await sight.leases()).map((l) => [l.id, l]));
    const mine = (shard: ShardRow | undefined): LeaseRow | undefined =>
      shard?.leaseId == null ? undefined : own.get(shard.leaseId);
    await this.keepLogs(tx, logs, (id) => (mine(known.get(id)) ? known.get(id) : undefined));
    const acknowledged: { workId: string; fence: number }[] = [];
    const ended: { shard: ShardRow; lease: LeaseRow; report: DoneReport | FailedReport }[] = [];
    for (const report of reports) {
      const shard = known.get(report.workId);
      const lease = mine(shard);
      if (report.state === 'running') continue;
      // Late, repeated or foreign: nothing to take, and the agent need not keep it.
      acknowledged.push({ workId: report.workId, fence: report.fence });
      if (!shard || !lease || shard.state !== 'assigned' || shard.fence !== report.fence) continue;
      ended.push({ shard, lease, report });
    }
    if (ended.length > 0) await this.take(sight, ended);
    return acknowledged;
  }

  /** Takes the ends of shards in. Their jobs are locked first: what is counted here must not be written over by a reconciler. */
  private async take(
    sight: JobSight,
    ended: readonly { shard: ShardRow; lease: LeaseRow; report: DoneReport | FailedReport }[],
  ): Promise<void> {
    const { tx } = sight;
    const jobsOf = await sight.lockJobs([...new Set(ended.map(({ shard }) => shard.jobId))]);
    const usage: ShardUsage[] = [];
    const byTokens: TokenUsage[] = [];
    const sums = new Map<string, Counts>();
    for (const { shard, lease, report } of ended) {
      const job = jobsOf.get(shard.jobId);
      if (!job) continue;
      const counts =
        report.state === 'done' && (report.exitCode ?? 0) === 0
          ? await this.done(tx, shard, lease, job, report, { usage, byTokens })
          : await this.failed(tx, shard, job, report);
      if (counts) sums.set(job.id, added(sums.get(job.id), counts));
    }
    await this.d.metering.shardCounts(tx, usage);
    await this.d.metering.tokens(tx, byTokens);
    for (const [jobId, counts] of sums) {
      const job = jobsOf.get(jobId);
      if (job) sight.keep(await this.count(tx, job, counts));
    }
  }

  private async done(
    tx: Tx,
    shard: ShardRow,
    lease: LeaseRow,
    job: JobRow,
    report: DoneReport,
    into: { usage: ShardUsage[]; byTokens: TokenUsage[] },
  ): Promise<Counts | null> {
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
    if (!taken) return null;
    const now = await tx.now();
    if (job.workload.work.kind === 'tokens' && job.spec.kind === 'batch-inference' && shard.assignedAt !== null) {
      const { accelerator, count, vcpus } = lease.offer;
      const id = `${shard.id}/${report.fence}`;
      const units = count > 0 ? count : (vcpus ?? 1);
      const tokens = inputTokens + outputTokens;
      const what = { accelerator, units, model: job.spec.model, tokens, organizationId: shard.organizationId };
      await noteShardTimes(tx, [{ id, leaseId: lease.id, ...what, assignedAt: shard.assignedAt, at: now }]);
    }
    const { organizationId, projectId, jobId } = shard;
    const of = {
      id: shard.id,
      leaseId: lease.id,
      organizationId,
      projectId,
      jobId,
      providerId: lease.providerId,
      resource: 'batch-inference',
      providerClass: lease.offer.providerKind,
      fromMs: shard.assignedAt ?? now,
      toMs: now,
    };
    const model = job.spec.kind === 'batch-inference' ? job.spec.model : null;
    if (job.tokenTerms !== null && model !== null) {
      const most = (told: number, bound: number): bigint => BigInt(Math.min(told, bound));
      const input = most(inputTokens, shard.inputTokensMost);
      const counts = { input, cached: 0n, output: most(outputTokens, shard.outputTokensMost) };
      const { tokenTerms: terms, holdId } = job;
      into.byTokens.push({ shard: of, model, terms, holdId, counts, requests: BigInt(ok) });
    } else {
      const counts = { 'input-tokens': inputTokens, 'output-tokens': outputTokens, lines: ok };
      into.usage.push({ shard: { ...of, model }, counts });
    }
    return { shardsDone: 1, shardsFailed: 0, linesOk: ok, linesFailed: failed };
  }

  /** A command that ended badly has failed; a shard that the machine could not do is tried again, up to the job's attempts. */
  private async failed(
    tx: Tx,
    shard: ShardRow,
    job: JobRow,
    report: FailedReport | DoneReport,
  ): Promise<Counts | null> {
    const exitCode = report.exitCode;
    const message = report.state === 'failed' ? `${report.code}: ${report.message}` : `exit code ${exitCode}`;
    const final = exitCode !== null || shard.failures + 1 >= job.maxAttempts;
    const linesFailed = shard.lineTo - shard.lineFrom;
    const [moved] = await tx.update(
      shards,
      { id: shard.id, state: 'assigned', fence: report.fence },
      {
        state: final ? 'failed' : 'pending',
        failures: { add: 1 },
        exitCode,
        message: message.slice(0, 2_000),
        leaseId: null,
        ...(final ? { linesFailed } : {}),
      },
    );
    return moved && final ? { shardsDone: 0, shardsFailed: 1, linesOk: 0, linesFailed } : null;
  }

  /** Adds to a locked job's counters, with a new version so that no one writes over them; the last shard also wakes the job. */
  private async count(tx: Tx, job: JobRow, add: Counts): Promise<JobRow> {
    const complete = job.shardsDone + add.shardsDone + job.shardsFailed + add.shardsFailed >= job.shardsTotal;
    const [after] = await tx.update(
      jobs,
      { id: job.id },
      {
        shardsDone: { add: add.shardsDone },
        shardsFailed: { add: add.shardsFailed },
        linesOk: { add: add.linesOk },
        linesFailed: { add: add.linesFailed },
        version: { add: 1 },
        ...(complete ? { wakeAt: await tx.now() } : {}),
      },
    );
    if (complete) tx.afterCommit(() => void this.d.wake.wake('job', job.id).catch(() => undefined));
    return after ?? job;
  }

  async desired(sight: JobSight, capacity: number, known: ReadonlySet<string>): Promise<WorkItem[]> {
    const { tx } = sight;
    const own = await sight.leases();
    const jobRows = await sight.jobs();
    const unfinished = [...jobRows.values()].filter((j) => j.shardsDone + j.shardsFailed < j.shardsTotal);
    if (unfinished.length === 0) return [];
    const gpus = await this.gpusOf(tx, own);
    const leaseOf = new Map(
      own.flatMap((l) => (l.jobId === null || !gpus.has(l.id) ? [] : [[l.jobId, l.id] as const])),
    );
    // Of each job first what is assigned ('assigned' < 'pending'), then what could be.
    const open = await tx.find(
      shards,
      { jobId: { in: unfinished.map((j) => j.id) }, state: { in: ['assigned', 'pending'] } },
      {
        orderBy: [
          ['jobId', 'asc'],
          ['state', 'asc'],
          ['n', 'asc'],
        ],
        limit: HELD_AT_MOST + capacity,
      },
    );
    const held = open.filter((s) => s.state === 'assigned' && s.leaseId === leaseOf.get(s.jobId));
    const room = capacity - held.filter((s) => !known.has(s.id)).length;
    const wanted = open.filter((s) => s.state === 'pending').slice(0, Math.max(0, room));
    const all = [
      ...held,
      ...(await this.claim(tx, await admitted(tx, this.d.leases.quotas, wanted, jobRows), leaseOf)),
    ];
    const now = await tx.now();
    const stopping = new Map(
      own.flatMap((l) =>
        l.graceUntil !== null && checkpointDue(l, now, this.d.leases.times) ? [[l.id, l.graceUntil] as const] : [],
      ),
    );
    return all.flatMap((shard) => {
      const job = jobRows.get(shard.jobId);
      return job
        ? [toWorkItem(shard, job, gpus.get(shard.leaseId ?? '') ?? null, stopping.get(shard.leaseId ?? ''))]
        : [];
    });
  }

  /**
   * Which GPUs of a registered host each lease has; null for all that its machine has, since a rented one is its lease's alone. A lease
   * that has given its GPUs back is not there.
   */
  private async gpusOf(tx: Tx, own: readonly LeaseRow[]): Promise<Map<string, WorkItem['gpus'] | null>> {
    const sharing = (l: LeaseRow): boolean => l.offer.hostId !== null && l.offer.count > 0;
    const devices = await this.d.hosts.devicesOf(
      tx,
      own.filter(sharing).map((l) => l.id),
    );
    const found = new Map<string, WorkItem['gpus'] | null>();
    for (const lease of own) {
      const [of, vendor] = [devices.get(lease.id), lease.offer.acceleratorVendor];
      if (!sharing(lease)) found.set(lease.id, null);
      else if (of && (vendor === 'nvidia' || vendor === 'amd'))
        found.set(lease.id, { vendor, indices: [...of.indices], ...(of.mig === undefined ? {} : { mig: of.mig }) });
    }
    return found;
  }

  /** Assigns pending shards, each to its job's lease; one that somebody else was quicker to take is left out. */
  private async claim(tx: Tx, wanted: readonly ShardRow[], leaseOf: ReadonlyMap<string, string>): Promise<ShardRow[]> {
    const taken: ShardRow[] = [];
    if (wanted.length === 0) return taken;
    const now = await tx.now();
    for (const [jobId, leaseId] of leaseOf) {
      const ids = wanted.filter((s) => s.jobId === jobId).map((s) => s.id);
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
