import { Redis } from 'ioredis';
import { systemClock, systemRandom } from '#kernel';
import { Tenancy } from '#identity/tenancy';
import { loadOrCreateSecret, type Config } from '#platform/config';
import { migrate, openStore } from '#platform/database';
import { startEmbedded } from '#platform/embedded';
import { createLogger, createMetrics, HealthRegistry } from '#platform/observability';
import { createApi } from './create-api.js';

/** How long a stop waits for requests in work. */
const STOP_WITHIN_MS = 25_000;

export interface RunningApi {
  readonly url: string;
  /** The first platform administrator's key, on the boot that created the installation only. */
  readonly platformKey: string | null;
  close(): Promise<void>;
}

/** Database, schema, installation, API: everything that must be there before the first request. */
export async function bootApi(config: Config): Promise<RunningApi> {
  const logger = createLogger({ name: 'api', level: config.logLevel });
  const metrics = createMetrics({ process: 'api' });
  const health = new HealthRegistry();
  const secret = config.secret ?? loadOrCreateSecret(config.home);
  const ownerUrl = config.databaseUrl ?? (await startEmbedded({ home: config.home })).ownerUrl;
  await migrate(ownerUrl, secret);
  const opened = await openStore(ownerUrl, secret, { poolSize: config.databasePoolSize, name: 'berth-api' });
  const redis =
    config.redisUrl === null
      ? null
      : new Redis(config.redisUrl, { maxRetriesPerRequest: 1, enableOfflineQueue: false });
  redis?.on('error', (error) => logger.warn({ err: error }, 'redis'));
  const { store } = opened;
  const app = await createApi({
    config,
    store,
    secret,
    clock: systemClock,
    random: systemRandom,
    logger,
    metrics,
    health,
    redis,
  });
  const { platformKey } = await app.get(Tenancy).ensureInstall();
  await app.listen({ host: config.host, port: config.port });
  const { port } = app.getHttpServer().address() as { port: number };
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  const url = config.publicUrl ?? `http://${host}:${port}`;
  logger.info({ url }, 'listening');
  return {
    url,
    platformKey,
    close: async () => {
      health.drain();
      // Unref'd: it ends a stop that hangs, it does not delay one that does not.
      setTimeout(() => process.exit(1), STOP_WITHIN_MS).unref();
      await app.close();
      await opened.close();
      redis?.disconnect();
    },
  };
}
