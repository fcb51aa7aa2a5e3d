import { HOUR, systemClock, systemRandom } from '#kernel';
import { stripePort } from '#adapters/stripe';
import { installs, Tenancy } from '#identity/tenancy';
import { loadOrCreateSecret, type Config } from '#platform/config';
import { Bell, migrate, openStore, roleUrl, WORKER, type PgStore } from '#platform/database';
import { startEmbedded } from '#platform/embedded';
import { openObjectStore, type ObjectStore } from '#platform/objects';
import {
  createLogger,
  createMetrics,
  HealthRegistry,
  type Logger,
  type Metrics,
  type Repairs,
} from '#platform/observability';
import { JobQueues } from '#platform/queue';
import { deriveKey, hashToken, newSecretToken } from '#platform/secrets';
import { defaultLeaseTimes, type LeaseTimes } from '#compute/leases';
import { Vendors } from '#compute/providers';
import { composeBroker, type Broker } from './compose.js';
import { VendorBinder } from './vendor-binder.js';

/** One process's broker on real servers: database, queue, objects, bell, vendors. Used by api and worker alike. */
export interface OpenBroker {
  readonly broker: Broker;
  readonly store: PgStore;
  readonly tenancy: Tenancy;
  readonly queues: JobQueues;
  readonly objects: ObjectStore;
  readonly bell: Bell;
  readonly binder: VendorBinder;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly health: HealthRegistry;
  readonly repairs: Repairs;
  readonly secret: string;
  readonly installId: string;
  /** The first platform administrator's key, on the boot that created the installation only. */
  readonly platformKey: string | null;
  close(): Promise<void>;
}

/**
 * `PUBLIC_URL` is where rented machines reach the API; without it they are told the local address. `onFirstBoot` gets the first
 * platform key as soon as it exists, so that a boot that fails later does not take it along.
 */
export async function openBroker(
  config: Config,
  name: 'api' | 'worker',
  onFirstBoot: (platformKey: string) => void = () => undefined,
): Promise<OpenBroker> {
  const logger = createLogger({ name, level: config.logLevel });
  const metrics = createMetrics({ process: name });
  const health = new HealthRegistry();
  const { repairs } = metrics;
  const secret = config.secret ?? loadOrCreateSecret(config.home);
  const ownerUrl = config.databaseUrl ?? (await startEmbedded({ home: config.home })).ownerUrl;
  await migrate(ownerUrl, secret);
  const patienceMs = config.testPatienceMs;
  const opened = await openStore(ownerUrl, secret, {
    ...(patienceMs === null ? {} : { idleInTransactionMs: patienceMs, connectMs: patienceMs }),
    poolSize: config.databasePoolSize,
    name: `berth-${name}`,
    onAfterCommitError: (error) => logger.warn({ err: error }, 'a wake-up after a commit failed'),
  });
  const { store } = opened;
  const pepper = deriveKey(secret, 'token-pepper');
  const tenancy = new Tenancy({ store, pepper, clock: systemClock, random: systemRandom });
  // Only an API creates the installation, because only it shows the first key to somebody.
  const install = name === 'api' ? await tenancy.ensureInstall() : await waitForInstall(store);
  if (install.platformKey !== null) onFirstBoot(install.platformKey);
  const objects = await openObjectStore(config.objectsUrl);
  const queues = await JobQueues.open({
    location:
      config.redisUrl === null
        ? { kind: 'postgres', url: roleUrl(ownerUrl, secret, 'berth_queue') }
        : { kind: 'redis', url: config.redisUrl },
    logger,
    ...(patienceMs === null ? {} : { answerMs: patienceMs, lockMs: patienceMs }),
  });
  const bell = new Bell(roleUrl(ownerUrl, secret, 'berth_worker'), (error) =>
    logger.warn({ err: error }, 'the bell lost its connection'),
  );
  await bell.open();
  const vendors = new Vendors();
  const broker = composeBroker({
    store,
    clock: systemClock,
    random: systemRandom,
    objects,
    secrets: { issue: (kind) => newSecretToken(kind), hash: (token) => hashToken(token, pepper) },
    wake: queues,
    ring: (agentId) => bell.ring(agentId),
    report: {
      repaired: (net, kind, id) => {
        repairs.count(net);
        logger.warn({ net, kind, id }, 'a safety net had to act');
      },
      failed: (kind, id, error) => logger.error({ kind, id, err: error }, 'a reconcile failed; the row stays due'),
    },
    vendors,
    payments: config.stripe === null ? null : stripePort(config.stripe),
    installId: install.id,
    brokerUrl: config.publicUrl ?? `http://127.0.0.1:${config.port}`,
    ...(patienceMs === null ? {} : { pastTheQueueAfterMs: patienceMs }),
    leaseTimes: knownTimes(config.testLeaseTimes ?? {}),
    billingSettings: { ...config.invoices, graceMs: config.invoices.graceHours * HOUR },
  });
  await store.transaction(WORKER, (tx) => broker.ledger.openOwn(tx));
  const binder = new VendorBinder(broker, { store, config, installId: install.id });
  vendors.onMissing(() => binder.refresh());
  health.add({ name: 'objects', kind: 'ready', check: () => objects.check() });
  health.add({ name: 'queue', kind: 'ready', check: () => queues.check() });
  return {
    broker,
    store,
    tenancy,
    queues,
    objects,
    bell,
    binder,
    logger,
    metrics,
    health,
    repairs,
    secret,
    installId: install.id,
    platformKey: install.platformKey,
    close: async () => {
      await queues.close();
      await bell.close();
      await objects.close();
      await opened.close();
    },
  };
}

/** Lease times by name; a name that no lease has is a mistake of the test that gives it. */
function knownTimes(times: Readonly<Record<string, number>>): Partial<LeaseTimes> {
  const wrong = Object.keys(times).filter((name) => !(name in defaultLeaseTimes));
  if (wrong.length > 0) throw new Error(`BERTH_TEST_LEASE_TIMES: leases have no ${wrong.join(', ')}`);
  return times;
}

const INSTALL_LOOK_MS = 500;
const INSTALL_LOOKS = 240;

/** The installation that an API has created or is about to create. */
async function waitForInstall(store: PgStore): Promise<{ id: string; platformKey: null }> {
  for (let look = 0; look < INSTALL_LOOKS; look++) {
    const row = await store.transaction(WORKER, (tx) => tx.first(installs, { singleton: true }));
    if (row) return { id: row.id, platformKey: null };
    await new Promise((resolve) => setTimeout(resolve, INSTALL_LOOK_MS));
  }
  throw new Error('There is no installation in this database yet; start the api once, it creates it.');
}
