import { Gauge } from 'prom-client';
import { DAY } from '#kernel';
import type { OpenBroker } from '#broker';
import { WORKER } from '#platform/database';
import { usageDifferences } from '#money/metering';

/** Compares yesterday's sums of usage with its records, once a day; what differs is counted and logged. */
export function usageCheck(open: Pick<OpenBroker, 'store' | 'logger' | 'metrics'>): () => Promise<void> {
  const { store, logger, metrics } = open;
  const different = new Gauge({
    name: 'berth_usage_sums_different',
    help: 'Sums of usage of yesterday that are not what the records say: berth admin usage check.',
    registers: [metrics.registry],
  });
  let checked = -1;
  return async () => {
    const found = await store.transaction(WORKER, async (tx) => {
      const today = Math.floor((await tx.now()) / DAY) * DAY;
      if (today === checked) return null;
      const differences = await usageDifferences(tx, { fromMs: today - DAY, toMs: today });
      checked = today;
      return differences;
    });
    if (found === null) return;
    different.set(found.length);
    const [first] = found;
    if (first)
      logger.error(
        { differences: found.length, keptIn: first.keptIn, organizationId: first.organizationId, meter: first.meter },
        'sums of usage are not what the records say; rebuild them with berth admin usage rebuild',
      );
  };
}
