import { Gauge } from 'prom-client';
import type { Logger, Metrics } from '#platform/observability';
import type { Store } from '#platform/database';
import { forgetUsageEvents, unattributedWaiting } from '#money/metering';

/** Forgets old usage events and tells of those that belong to nobody: always in the metrics, in the log when they have become more. */
export function usageWatch(of: { readonly store: Store; readonly logger: Logger; readonly metrics: Metrics }) {
  const gauge = new Gauge({
    name: 'berth_usage_unattributed',
    help: 'Usage events that belong to no project and wait for their tenant to say to which.',
    registers: [of.metrics.registry],
  });
  let before = 0;
  return {
    forget: () => forgetUsageEvents(of.store),
    async count(): Promise<void> {
      const waiting = await unattributedWaiting(of.store);
      gauge.set(waiting);
      if (waiting > before)
        of.logger.error(`${waiting} usage events belong to no project, ${waiting - before} more than before`);
      before = waiting;
    },
  };
}
