import { HOUR, MINUTE } from '#kernel';
import { forgetOldIdempotencyKeys } from '#identity/tenancy';
import type { Config } from '#platform/config';
import { startOpsServer, withContext } from '#platform/observability';
import { JobHandlers } from '#platform/queue';
import { WORKER } from '#platform/database';
import { openBroker } from '#broker';
import { forgetPriceEvents } from '#market/catalog';
import { learnFromLeases } from '#compute/leases';
import { learnFromShards } from '#market/speeds';
import { DRAFTS_EVERY_MS } from '#money/billing';
import { PAYOUTS_EVERY_MS } from '#money/payouts';
import { offerLists } from './offer-lists.js';
import { orphanSweep } from './orphan-sweep.js';
import { foldUsage, keepPartitions } from '#money/metering';
import { Timers } from './timers.js';
import { usageCheck } from './usage-check.js';
import { usageWatch } from './usage-watch.js';

export interface RunningWorker {
  readonly roles: readonly string[];
  readonly opsUrl: string | null;
  close(): Promise<void>;
}

const PROVIDERS_EVERY_MS = 2_000;
const HOSTS_EVERY_MS = 5_000;
/** How often to look which vendor's list is due; each has its own time. */
const OFFERS_EVERY_MS = 2_000;
const ORPHANS_EVERY_MS = 30_000;
const LEARN_EVERY_MS = 60_000;
const SEAL_EVERY_MS = 5_000;
const RECHARGE_EVERY_MS = 10_000;
const COLLECT_EVERY_MS = 600_000;
const AWAKE_EVERY_MS = 1_000;
const FILES_EVERY_MS = 600_000;
const FOLD_EVERY_MS = 10_000;

/**
 * Reconcilers on the queue; sweeper, orphan sweep, host watch and offer sync on timers of this process, because the
 * net under the queue must not hang on the queue.
 */
export async function bootWorker(config: Config): Promise<RunningWorker> {
  const open = await openBroker(config, 'worker');
  const { broker, queues, binder, logger, store } = open;
  open.health.add({ name: 'database', kind: 'ready', check: () => store.transaction(WORKER, (tx) => tx.now()) });
  await binder.refresh();
  const lists = offerLists(open);
  const handlers = new JobHandlers()
    .on('reconcile', async ({ rows }) => {
      await Promise.all(rows.map((row) => withContext({ ...row }, () => broker.loop.reconcile(row.kind, row.id))));
    })
    .on('sync-offers', ({ providerId }) => {
      // Begun, not waited for: vendors that hang must not use up the places of the queue.
      void lists.list(providerId).catch(() => undefined);
      return Promise.resolve();
    });
  const timers = new Timers(logger);
  const orphans = orphanSweep(open);
  const usage = usageWatch(open);

  /** The log keeps the end of the chain outside of the database: who rewrites all of it there is told by this. */
  async function seal(): Promise<void> {
    const link = await broker.sealer.run();
    if (link) logger.info({ n: link.n, hash: link.hash }, 'sealed the ledger');
  }

  timers.every(AWAKE_EVERY_MS, 'see the database', async () => {
    await store.transaction(WORKER, (tx) => tx.now());
    broker.awake.beat();
  });
  if (config.roles.includes('sweep')) {
    timers.every(PROVIDERS_EVERY_MS, 'bind providers', () => binder.refresh());
    timers.every(config.sweepIntervalMs, 'sweep', () => broker.loop.sweep());
    timers.every(broker.leaseTimes.renewEveryMs, 'renew holds', () => broker.renewHolds());
    timers.every(HOUR, 'forget what was spent long ago', () =>
      store.transaction(WORKER, (tx) => broker.quotas.sweep(tx)),
    );
    timers.every(MINUTE, 'expire grants', () => broker.credit.expire());
    timers.every(HOSTS_EVERY_MS, 'watch hosts', () => broker.hosts.observe());
    timers.every(OFFERS_EVERY_MS, 'list offers', () => lists.turn());
    timers.every(10 * MINUTE, 'forget removed offers', () =>
      store.transaction(WORKER, (tx) => broker.catalog.forgetRemovals(tx)),
    );
    timers.every(HOUR, 'forget old prices', () => forgetPriceEvents(store, config.priceHistoryDays));
    timers.every(LEARN_EVERY_MS, 'learn from leases', () => learnFromLeases(store));
    timers.every(LEARN_EVERY_MS, 'learn from shards', () => learnFromShards(store));
    timers.every(ORPHANS_EVERY_MS, 'sweep orphans', orphans);
    timers.every(SEAL_EVERY_MS, 'seal the ledger', seal);
    timers.every(HOUR, 'make partitions', async () => {
      await keepPartitions(store, (message) => logger.error(message));
    });
    timers.every(FOLD_EVERY_MS, 'fold usage', () => foldUsage(store));
    timers.every(HOUR, 'check sums of usage', usageCheck(open));
    timers.every(HOUR, 'forget old usage events', usage.forget);
    timers.every(10 * MINUTE, 'watch unattributed usage', usage.count);
    timers.every(HOUR, 'forget old idempotency keys', () => forgetOldIdempotencyKeys(store));
    await store
      .transaction(WORKER, (tx) => broker.catalog.loadSnapshot(tx))
      .then((n) => (n > 0 ? logger.info({ offers: n }, 'loaded the market snapshot') : undefined));
  } else {
    timers.every(PROVIDERS_EVERY_MS, 'bind providers', () => binder.refresh());
  }
  if (config.roles.includes('billing')) {
    timers.every(DRAFTS_EVERY_MS, 'open drafts of invoices', async () =>
      broker.billing.openDrafts(await store.transaction(WORKER, (tx) => tx.now())),
    );
    timers.every(FILES_EVERY_MS, 'meter the files of who has come to keep some', () => broker.storage.open());
    timers.every(RECHARGE_EVERY_MS, 'recharge credit', () => broker.payments.recharge());
    timers.every(COLLECT_EVERY_MS, 'collect invoices', () => broker.payments.collect());
    timers.every(HOUR, 'look for disputes that nobody told of', () => broker.payments.sweepDisputes());
    timers.every(HOUR, 'look for refunds that nobody told of', () => broker.payments.sweepRefunds());
    timers.every(HOUR, 'look for reversals that nobody told of', () => broker.payouts.sweepReversals());
    timers.every(COLLECT_EVERY_MS, 'pay back what credit notes owe', () => broker.payments.payBack());
    timers.every(PAYOUTS_EVERY_MS, 'state and release what providers earned', () => broker.payouts.turn());
  }
  await queues.start(handlers, config.roles);
  const ops =
    config.metricsPort === null
      ? null
      : await startOpsServer({ port: config.metricsPort, health: open.health, registry: open.metrics.registry });
  logger.info({ roles: config.roles }, 'working');
  return {
    roles: config.roles,
    opsUrl: ops === null ? null : `http://127.0.0.1:${ops.port}`,
    close: async () => {
      open.health.drain();
      await timers.stop();
      await lists.close();
      await ops?.close();
      await open.close();
    },
  };
}
