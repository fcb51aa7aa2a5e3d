import { Gauge, type Registry } from 'prom-client';
import type { JobCounts } from './job-queues.js';

/** Numbers of the queue, read when somebody asks for the metrics. A queue that does not answer leaves them out. */
export function registerQueueMetrics(
  registry: Registry,
  queues: { counts(): Promise<Readonly<Record<string, JobCounts>>>; readonly lost: number },
): void {
  new Gauge({
    name: 'berth_queue_jobs',
    help: 'Jobs by state; stuck ones are active for more than two lock times.',
    labelNames: ['job', 'state'],
    registers: [registry],
    async collect() {
      this.reset();
      const counts = await queues.counts().catch(() => ({}));
      for (const [job, states] of Object.entries<JobCounts>(counts)) {
        for (const [state, n] of Object.entries(states) as [string, number][]) this.set({ job, state }, n);
      }
    },
  });
  new Gauge({
    name: 'berth_queue_lost_wake_ups',
    help: 'Wake-ups that the queue did not take since the process started; the sweep finds their rows.',
    registers: [registry],
    collect() {
      this.set(queues.lost);
    },
  });
}
