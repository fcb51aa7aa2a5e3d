import { Readable } from 'node:stream';
import { Controller, Inject } from '@nestjs/common';
import type { z } from 'zod';
import { DomainError, notFound } from '#kernel';
import type { jobEventView, jobView } from '#contracts';
import { within, type Bell, type Store } from '#platform/database';
import { events } from '#platform/reconcile';
import type { Principal } from '#identity/tenancy';
import { holds } from '#money/quotas';
import { EgressTally } from '#money/storage';
import { Artifacts } from '#compute/artifacts';
import { leases, unmeteredCharge } from '#compute/leases';
import {
  batchResults,
  jobLogs,
  jobMachine,
  Jobs,
  jobs,
  outputKey,
  shards,
  toJobView,
  type JobMoney,
  type JobRow,
} from '#work/jobs';
import type { Call, EventAnswer } from '../http/route.js';
import { Serve } from '../http/serve.js';
import { BELL, STORE } from '../tokens.js';
import {
  createJob,
  createJobs,
  previewJob,
  listJobs,
  getJob,
  cancelJob,
  listJobEvents,
  watchJob,
  jobResults,
  jobLogLines,
  jobOutput,
} from './jobs.routes.js';
import { inProject, projectOf } from './project-of.js';
import { timeText } from './shapes.js';

/** Between two looks at a job that is being watched, when nobody rings. */
const LOOK_MS = 1_000;

@Controller()
export class JobsController {
  constructor(
    private readonly jobs: Jobs,
    private readonly artifacts: Artifacts,
    private readonly egress: EgressTally,
    @Inject(STORE) private readonly store: Store,
    @Inject(BELL) private readonly bell: Pick<Bell, 'wait'>,
  ) {}

  @Serve(createJob)
  async create({ principal, body, remember }: Call<typeof createJob>) {
    const project = await projectOf(this.store, principal, body.projectId);
    const job = await this.jobs.submit(
      { ...project, actor: principal.actor, keyId: principal.keyId, request: body },
      (tx, created) => remember(tx, showQueued(created)),
    );
    return showQueued(job);
  }

  @Serve(createJobs)
  async createMany({ principal, body, remember }: Call<typeof createJobs>) {
    const project = await projectOf(this.store, principal, body.projectId);
    const { actor, keyId } = principal;
    const answer = (made: readonly JobRow[]) => ({ items: made.map(showQueued) });
    return answer(
      await this.jobs.submitMany({ ...project, actor, keyId }, body.jobs, (tx, made) => remember(tx, answer(made))),
    );
  }

  @Serve(previewJob)
  async preview({ principal, body }: Call<typeof previewJob>) {
    const project = await projectOf(this.store, principal, body.projectId);
    const { capNano, ...rest } = await this.jobs.dryRun({ ...project, actor: principal.actor, request: body });
    return { ...rest, cap: String(capNano) };
  }

  @Serve(listJobs)
  async list({ principal, query, page }: Call<typeof listJobs>) {
    const rows = await this.store.transaction(principal.actor, (tx) =>
      tx.find(
        jobs,
        {
          ...(query.state === undefined ? {} : { state: query.state }),
          ...inProject(principal, query.projectId),
        },
        { orderBy: [['id', 'desc']], ...page.order },
      ),
    );
    const money = await this.money(principal, rows);
    return page.answer(
      rows,
      (row) => [row.id],
      (row) => toJobView(row, money(row)),
    );
  }

  @Serve(getJob)
  async get({ principal, params }: Call<typeof getJob>) {
    return this.view(principal, await this.jobs.get(principal.actor, params.id));
  }

  @Serve(cancelJob)
  async cancel({ principal, params }: Call<typeof cancelJob>) {
    return this.view(principal, await this.jobs.cancel(principal.actor, params.id));
  }

  @Serve(listJobEvents)
  async history({ principal, params, page }: Call<typeof listJobEvents>) {
    await this.jobs.get(principal.actor, params.id);
    const rows = await this.store.transaction(principal.actor, (tx) =>
      tx.find(events, { subjectId: params.id, ...within(principal.actor) }, { orderBy: [['n', 'asc']], ...page.order }),
    );
    return page.answer(rows, (row) => [row.n], showEvent);
  }

  @Serve(watchJob)
  async watch({ principal, params, signal, request }: Call<typeof watchJob>) {
    const job = await this.jobs.get(principal.actor, params.id);
    const last = Number(request.headers['last-event-id'] ?? 0);
    return this.follow(principal, job.id, Number.isSafeInteger(last) && last > 0 ? last : 0, signal);
  }

  private async *follow(
    principal: Principal,
    id: string,
    from: number,
    signal: AbortSignal,
  ): AsyncGenerator<EventAnswer<z.infer<typeof jobView> | z.infer<typeof jobEventView>>> {
    let seen = from;
    let shown = '';
    while (!signal.aborted) {
      const job = await this.jobs.get(principal.actor, id);
      const news = await this.store.transaction(principal.actor, (tx) =>
        tx.find(events, { subjectId: id, n: { gt: seen }, ...within(principal.actor) }, { orderBy: [['n', 'asc']] }),
      );
      for (const row of news) {
        seen = row.n;
        yield { id: String(row.n), event: 'job', data: showEvent(row) };
      }
      const view = await this.view(principal, job);
      const now = JSON.stringify([view.progress, view.state, view.cost.charged]);
      if (jobMachine.isTerminal(job.state)) {
        yield { id: String(seen), event: 'end', data: view };
        return;
      }
      if (now !== shown) yield { event: 'progress', data: view };
      shown = now;
      await this.bell.wait(id, LOOK_MS, signal);
    }
  }

  @Serve(jobResults)
  async results({ principal, params }: Call<typeof jobResults>) {
    const job = await this.jobs.get(principal.actor, params.id);
    if (job.kind !== 'batch-inference') {
      throw new DomainError('invalid', 'no-results', 'A command has no result lines.', {
        fix: 'Read its logs, or its output files.',
      });
    }
    return {
      stream: Readable.from(this.egress.count(job, batchResults(this.store, this.artifacts, principal.actor, job))),
      fileName: `${job.id}.jsonl`,
    };
  }

  @Serve(jobLogLines)
  async logs({ principal, params, page }: Call<typeof jobLogLines>) {
    await this.jobs.get(principal.actor, params.id);
    const rows = await this.store.transaction(principal.actor, (tx) =>
      tx.find(
        jobLogs,
        { jobId: params.id, ...within(principal.actor) },
        {
          orderBy: [
            ['at', 'asc'],
            ['workId', 'asc'],
            ['fence', 'asc'],
            ['n', 'asc'],
          ],
          ...page.order,
        },
      ),
    );
    return page.answer(
      rows,
      (row) => [row.at, row.workId, row.fence, row.n],
      (row) => ({ at: timeText(row.at), stream: row.stream, text: row.text, shard: row.workId }),
    );
  }

  @Serve(jobOutput)
  async output({ principal, params, query }: Call<typeof jobOutput>) {
    const job = await this.jobs.get(principal.actor, params.id);
    const shard = await this.store.transaction(principal.actor, (tx) =>
      tx.first(shards, { jobId: job.id, state: 'done', ...within(principal.actor) }),
    );
    if (!shard || job.spec.kind !== 'command' || !job.spec.outputs.includes(query.path))
      throw notFound('output', query.path);
    const stream = await this.artifacts.objects
      .get(outputKey(shard, shard.fence, query.path))
      // A command may end well without writing every file it was to leave.
      .catch((error: unknown) => {
        throw error instanceof DomainError && error.kind === 'not-found' ? notFound('output', query.path) : error;
      });
    return {
      stream: Readable.from(this.egress.count(job, stream)),
      fileName: query.path.split('/').at(-1) ?? 'output',
    };
  }

  private async view(principal: Principal, job: JobRow) {
    return toJobView(job, (await this.money(principal, [job]))(job));
  }

  /** What each job's hold still has, and what was charged: while it runs, the hold's own arithmetic tells. */
  private async money(principal: Principal, rows: readonly JobRow[]): Promise<(job: JobRow) => JobMoney> {
    const open = rows.filter((r) => !jobMachine.isTerminal(r.state));
    if (open.length === 0) return (job) => ({ heldNano: 0n, chargedNano: job.chargedNano, runningNano: 0n });
    const own = within(principal.actor);
    const holdIds = open.map((r) => r.holdId);
    const leaseIds = open.flatMap((r) => (r.leaseId === null ? [] : [r.leaseId]));
    const { known, machines, now } = await this.store.transaction(principal.actor, async (tx) => ({
      known: [
        ...(await tx.find(holds, { id: { in: holdIds }, ...own })),
        ...(await tx.find(holds, { parentId: { in: holdIds }, state: 'held', ...own })),
      ],
      machines: leaseIds.length === 0 ? [] : await tx.find(leases, { id: { in: leaseIds }, ...own }),
      now: await tx.now(),
    }));
    return (job) => {
      if (jobMachine.isTerminal(job.state)) return { heldNano: 0n, chargedNano: job.chargedNano, runningNano: 0n };
      const heldNano = known
        .filter((h) => h.id === job.holdId || h.parentId === job.holdId)
        .reduce((a, h) => a + h.remainingNano, 0n);
      const lease = machines.find((l) => l.id === job.leaseId);
      const unmetered = lease ? unmeteredCharge(lease, now) : 0n;
      const runningNano = unmetered < heldNano ? unmetered : heldNano;
      return { heldNano, chargedNano: job.capNano - heldNano, runningNano };
    };
  }
}

function showQueued(job: JobRow) {
  return toJobView(job, { heldNano: job.capNano, chargedNano: 0n, runningNano: 0n });
}

function showEvent(row: {
  subjectId: string;
  n: number;
  at: number;
  type: string;
  fromState: string | null;
  toState: string | null;
  message: string;
}): z.infer<typeof jobEventView> {
  return {
    id: `${row.subjectId}.${row.n}`,
    at: timeText(row.at),
    type: row.type,
    from: row.fromState,
    to: row.toState,
    message: row.message,
  };
}
