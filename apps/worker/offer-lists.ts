import { Counter, Gauge, Histogram } from 'prom-client';
import { systemClock, systemRandom } from '#kernel';
import type { OpenBroker } from '#broker';
import { Lister } from '#compute/providers';

/** Reads every connected vendor's offers on their own schedule; what comes of it is logged and counted. */
export function offerLists(open: Pick<OpenBroker, 'broker' | 'store' | 'queues' | 'logger' | 'metrics'>): Lister {
  const { broker, store, queues, logger, metrics } = open;
  const registers = [metrics.registry];
  const lists = new Counter({
    name: 'berth_offer_lists_total',
    help: 'Lists of offers that vendors were asked for, by what came of it: listed, doubted or failed.',
    labelNames: ['provider', 'outcome'],
    registers,
  });
  const seconds = new Histogram({
    name: 'berth_offer_list_seconds',
    help: 'How long a vendor took for its list of offers, failures included.',
    labelNames: ['provider'],
    buckets: [0.1, 0.5, 1, 2, 5, 10, 30, 60],
    registers,
  });
  const listedAt = new Gauge({
    name: 'berth_offers_listed_at_seconds',
    help: 'When this process last read a whole list of the vendor, seconds since the epoch.',
    labelNames: ['provider'],
    registers,
  });
  const offers = new Gauge({
    name: 'berth_offers_listed',
    help: 'Offers in the last whole list of the vendor.',
    labelNames: ['provider'],
    registers,
  });
  return new Lister({
    store,
    vendors: broker.vendors,
    catalog: broker.catalog,
    clock: systemClock,
    random: systemRandom,
    poke: (providerId) => queues.add('sync-offers', { providerId }),
    onError: (provider, error) => logger.error({ provider, err: error }, 'a list of offers could not be kept'),
    report: (provider, listed) => {
      seconds.observe({ provider }, listed.tookMs / 1_000);
      if (listed.outcome === 'failed') {
        lists.inc({ provider, outcome: 'failed' });
        logger.warn({ provider, failures: listed.failures, err: listed.error }, 'a vendor did not give its offers');
        return;
      }
      const { change } = listed;
      lists.inc({ provider, outcome: change.doubted ? 'doubted' : 'listed' });
      listedAt.set({ provider }, Date.now() / 1_000);
      offers.set({ provider }, listed.offers);
      if (change.doubted) logger.warn({ provider, offers: listed.offers }, 'a list of offers lacks too much at once');
    },
  });
}
