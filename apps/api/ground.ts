import type { Redis } from 'ioredis';
import type { Clock, Random } from '#kernel';
import type { Config } from '#platform/config';
import type { Store } from '#platform/database';
import type { HealthRegistry, Logger, Metrics } from '#platform/observability';

/** What the API stands on; specs give their own. */
export interface Ground {
  readonly config: Pick<Config, 'bodyLimitBytes' | 'rateLimitPerMinute' | 'publicUrl'>;
  readonly store: Store;
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
