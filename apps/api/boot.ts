import { Redis } from 'ioredis';
import { openBroker } from '#broker';
import { Sizing } from '#market/sizing';
import { systemClock, systemRandom } from '#kernel';
import type { Config } from '#platform/config';
import { createApi } from './create-api.js';

const EGRESS_EVERY_MS = 5_000;

/** How long a stop waits for requests in work. */
const STOP_WITHIN_MS = 25_000;

export interface RunningApi {
  readonly url: string;
  /** The first platform administrator's key, on the boot that created the installation only. */
  readonly platformKey: string | null;
  close(): Promise<void>;
}

/** Database, schema, installation, API: everything that must be there before the first request. */
export async function bootApi(config: Config, onFirstBoot?: (platformKey: string) => void): Promise<RunningApi> {
  const open = await openBroker(config, 'api', onFirstBoot);
  const { logger, metrics, health, store, secret, broker, bell } = open;
  const redis =
    config.redisUrl === null
      ? null
      : new Redis(config.redisUrl, { maxRetriesPerRequest: 1, enableOfflineQueue: false });
  redis?.on('error', (error) => logger.warn({ err: error }, 'redis'));
  const app = await createApi({
    config,
    store,
    broker,
    bell,
    secret,
    clock: systemClock,
    random: systemRandom,
    logger,
    metrics,
    health,
    redis,
  });
  const flush = (): Promise<void> =>
    broker.egress.flush().catch((error: unknown) => {
      logger.error({ err: error }, 'what was sent could not be written down; it will be tried again');
    });
  const flushing = setInterval(() => void flush(), EGRESS_EVERY_MS);
  await app.listen({ host: config.host, port: config.port });
  const { port } = app.getHttpServer().address() as { port: number };
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  const url = config.publicUrl ?? `http://${host}:${port}`;
  logger.info({ url }, 'listening');
  // After listening: nobody who waits for readiness waits for this.
  app
    .get(Sizing)
    .warm()
    .catch((error: unknown) => logger.warn({ err: error }, 'the tables of sizing could not be read'));
  return {
    url,
    platformKey: open.platformKey,
    close: async () => {
      health.drain();
      // Unref'd: it ends a stop that hangs, it does not delay one that does not.
      setTimeout(() => process.exit(1), STOP_WITHIN_MS).unref();
      await app.close();
      clearInterval(flushing);
      await flush();
      await open.close();
      redis?.disconnect();
    },
  };
}
