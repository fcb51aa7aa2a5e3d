import type { Tx } from '#platform/database';
import type { AgentRow, Sight } from '#compute/agents';
import type { Leases, LeaseRow } from '#compute/leases';
import { jobs, type JobRow } from './jobs.table.js';

/** The leases and jobs of one agent, as one transaction sees them; each is read once. */
export class JobSight implements Sight {
  private ownLeases: LeaseRow[] | undefined;
  private readonly seen = new Map<string, JobRow>();
  private complete = false;

  constructor(
    readonly tx: Tx,
    readonly agent: AgentRow,
    private readonly source: Leases,
  ) {}

  async leases(): Promise<readonly LeaseRow[]> {
    return (this.ownLeases ??= await this.source.ofAgent(this.tx, this.agent.id));
  }

  /** The jobs of the leases. */
  async jobs(): Promise<ReadonlyMap<string, JobRow>> {
    const ids = (await this.leases()).flatMap((l) => (l.jobId === null || this.seen.has(l.jobId) ? [] : [l.jobId]));
    if (!this.complete && ids.length > 0)
      for (const job of await this.tx.find(jobs, { id: { in: ids } })) this.keep(job);
    this.complete = true;
    return this.seen;
  }

  async lockJobs(ids: readonly string[]): Promise<ReadonlyMap<string, JobRow>> {
    const rows = await this.tx.find(jobs, { id: { in: ids } }, { orderBy: [['id', 'asc']], lock: 'update' });
    for (const job of rows) this.keep(job);
    return this.seen;
  }

  keep(job: JobRow): void {
    this.seen.set(job.id, job);
  }
}
