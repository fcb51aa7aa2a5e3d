import type { Redis } from 'ioredis';
import type { Broker } from '#broker';
import type { Clock, Random } from '#kernel';
import type { Config } from '#platform/config';
import type { Bell, Store } from '#platform/database';
import type { HealthRegistry, Logger, Metrics } from '#platform/observability';

/** What the API stands on; specs give their own. */
export interface Ground {
  readonly config: Pick<
    Config,
    'bodyLimitBytes' | 'rateLimitPerMinute' | 'publicUrl' | 'agentPollMs' | 'defaultMarginBps' | 'trustProxy'
  >;
  readonly store: Store;
  readonly broker: Broker;
  /** What long polls and watchers wait on. */
  readonly bell: Pick<Bell, 'wait'>;
  /** The installation's secret; every key is derived from it. */
  readonly secret: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly health: HealthRegistry;
  /** Null: limits count per process. */
  readonly redis: Redis | null;
}
