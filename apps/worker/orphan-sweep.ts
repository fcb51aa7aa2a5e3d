import { Counter, Gauge } from 'prom-client';
import type { OpenBroker } from '#broker';
import { OrphanSweep } from '#compute/orphans';

/** One look at every vendor's list; what it finds is logged and counted. */
export function orphanSweep(
  open: Pick<OpenBroker, 'broker' | 'store' | 'installId' | 'repairs' | 'logger' | 'metrics'>,
): () => Promise<void> {
  const { broker, store, installId, repairs, logger, metrics } = open;
  const registers = [metrics.registry];
  const doubted = new Counter({
    name: 'berth_vendor_lists_doubted_total',
    help: 'Lists of a vendor that lacked so many of our machines at once that they were not believed.',
    labelNames: ['provider'],
    registers,
  });
  const kept = new Gauge({
    name: 'berth_orphans_waiting',
    help: 'Machines of ours that nobody wants and that wait for an administrator: berth admin orphans ls.',
    labelNames: ['provider'],
    registers,
  });
  const sweep = new OrphanSweep({
    store,
    vendors: broker.vendors,
    installId,
    times: broker.leaseTimes,
    report: {
      repaired: (net, kind, id) => {
        repairs.count(net);
        logger.warn({ net, kind, id }, 'a safety net had to act');
      },
      alarm: (message) => logger.error(message),
      doubted: (provider) => doubted.inc({ provider }),
      kept: (provider, machines) => kept.set({ provider }, machines),
    },
  });
  return async () => {
    for (const providerId of broker.vendors.ids) await sweep.sweep(providerId);
  };
}
