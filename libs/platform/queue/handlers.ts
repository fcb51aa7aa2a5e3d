import type { WorkerRole } from '#platform/config';
import { jobsOf, type JobName, type JobPayload } from './jobs.js';

export type JobHandler<J extends JobName> = (payload: JobPayload<J>) => Promise<void>;

/** Who runs which job. A boot that leaves a job without a handler, or gives it two, fails. */
export class JobHandlers {
  private readonly byName = new Map<string, JobHandler<never>>();

  on<J extends JobName>(name: J, handler: JobHandler<J>): this {
    if (this.byName.has(name)) throw new Error(`The job ${name} has two handlers; remove one.`);
    this.byName.set(name, handler);
    return this;
  }

  /** Throws unless every job of these roles has its handler. */
  assertComplete(roles: readonly WorkerRole[]): void {
    const missing = jobsOf(roles).filter((name) => !this.byName.has(name));
    if (missing.length > 0) {
      throw new Error(
        `No handler for the job ${missing.join(', ')}; a worker with the roles ${roles.join(', ')} needs one each.`,
      );
    }
  }

  get<J extends JobName>(name: J): JobHandler<J> {
    const handler = this.byName.get(name);
    if (!handler) throw new Error(`No handler for the job ${name}.`);
    // `on` stored it under the name whose payload it takes.
    return handler as JobHandler<J>;
  }
}
