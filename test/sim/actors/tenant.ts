import { DomainError } from '#kernel';
import { createJobSchema, type CreateJobInput } from '#contracts';
import { WORKER } from '#platform/database';
import type { Broker } from '#broker';
import type { History } from '../history.js';
import { Injected } from '../injected.js';
import { Process } from '../process.js';
import { planJob, type PlannedJob } from '../scenario.js';

/** A tenant who submits a few jobs in the first minutes and changes their mind about some. */
export class Tenant {
  private readonly process: Process;
  /** What is planned and not yet done. */
  private ahead = 0;

  constructor(private readonly history: History) {
    this.process = new Process(history.kernel, 'tenant');
    for (const n of history.scenario.jobs) this.later(planJob(history.scenario.seed, n));
  }

  get done(): boolean {
    return this.ahead === 0;
  }

  private later(job: PlannedJob): void {
    this.ahead++;
    void this.process
      .point(`submits ${job.n}`, job.atMs)
      .then(() => this.use(job))
      .catch((error: unknown) => {
        // Too little credit or a broken connection: a tenant lives with that.
        if (!(error instanceof DomainError)) this.history.threw(`tenant, job ${job.n}`, error);
      })
      .finally(() => {
        this.ahead--;
        this.history.disturb(0);
      });
  }

  private async use(job: PlannedJob): Promise<void> {
    const { history, process } = this;
    const { organizationId, projectId } = history;
    const row = await history.api.ask(process, `submit ${job.n}`, async (broker) => {
      const request = createJobSchema.parse({
        ...(await this.input(broker, job)),
        name: `job ${job.n}`,
        keepWarmS: job.keepWarmS,
        timeoutS: job.timeoutS,
        ...(job.maxCost === undefined ? {} : { maxCost: job.maxCost }),
      });
      return broker.jobs.submit({ organizationId, projectId, actor: WORKER, request });
    });
    if (job.cancelAfterMs === null) return;
    await process.point(`waits ${job.n}`, job.cancelAfterMs);
    for (let tries = 0; tries < 20; tries++) {
      try {
        await history.api.ask(process, `cancel ${job.n}`, (broker) => broker.jobs.cancel(WORKER, row.id));
        return;
      } catch (error) {
        if (!(error instanceof Injected)) throw error;
        await process.point(`tries again ${job.n}`, 1_000);
      }
    }
  }

  private async input(broker: Broker, job: PlannedJob): Promise<CreateJobInput> {
    if (job.kind === 'command') return { spec: { kind: 'command', command: ['true'] } };
    const { organizationId, projectId } = this.history;
    const text = Array.from({ length: job.lines }, (_, i) =>
      JSON.stringify({
        custom_id: `r${i}`,
        method: 'POST',
        url: '/v1/embeddings',
        body: { model: 'universal-sentence-encoder', input: `text ${i}` },
      }),
    ).join('\n');
    const artifact = await broker.artifacts.put(
      WORKER,
      { organizationId, projectId, name: 'in', mediaType: 'application/x-ndjson' },
      Buffer.from(text),
    );
    return {
      spec: {
        kind: 'batch-inference',
        model: 'universal-sentence-encoder',
        inputArtifactId: artifact.id as `art_${string}`,
        linesPerShard: 7,
      },
    };
  }
}
