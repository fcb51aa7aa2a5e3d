import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import { DomainError } from '#kernel';

const WINDOW_S = 60;
/** One address may stand for many keys behind a NAT; this only stops floods before they cost a look-up. */
const ADDRESS_FACTOR = 20;
/** Wrong keys per address and minute; guessing 178 bits is hopeless, but each guess costs a query. */
const WRONG_KEYS = 60;

/** How often somebody may call: by address before authentication, by key after it. */
export class RequestLimits {
  private readonly byAddress: RateLimiterAbstract;
  private readonly byKey: RateLimiterAbstract;
  private readonly wrongKeys: RateLimiterAbstract;

  /** With Redis all processes count together; when it is down each counts for itself. */
  constructor(
    private readonly perMinute: number,
    redis: Redis | null,
  ) {
    const limiter = (keyPrefix: string, points: number): RateLimiterAbstract => {
      const own = new RateLimiterMemory({ keyPrefix, points, duration: WINDOW_S });
      if (!redis) return own;
      return new RateLimiterRedis({ keyPrefix, points, duration: WINDOW_S, storeClient: redis, insuranceLimiter: own });
    };
    this.byAddress = limiter('berth:limit:address', perMinute * ADDRESS_FACTOR);
    this.byKey = limiter('berth:limit:key', perMinute);
    this.wrongKeys = limiter('berth:limit:wrong', WRONG_KEYS);
  }

  async countAddress(request: FastifyRequest): Promise<void> {
    await take(this.byAddress, request.ip);
  }

  /** Refuses an address that has sent too many wrong keys lately, before the next one is looked up. */
  async checkWrongKeys(request: FastifyRequest): Promise<void> {
    const state = await this.wrongKeys.get(request.ip);
    if (state && state.remainingPoints <= 0) throw tooMany(state.msBeforeNext);
  }

  async countWrongKey(request: FastifyRequest): Promise<void> {
    await this.wrongKeys.penalty(request.ip);
  }

  /** Counts a call of a key and tells it where it stands. */
  async countKey(keyId: string, reply: FastifyReply): Promise<void> {
    void reply.header('ratelimit-policy', `"key";q=${this.perMinute};w=${WINDOW_S}`);
    const stand = (state: RateLimiterRes): void => {
      const left = Math.max(0, state.remainingPoints);
      void reply.header('ratelimit', `"key";r=${left};t=${Math.ceil(state.msBeforeNext / 1_000)}`);
    };
    stand(await take(this.byKey, keyId, stand));
  }
}

async function take(
  limiter: RateLimiterAbstract,
  key: string,
  onRefused: (state: RateLimiterRes) => void = () => undefined,
): Promise<RateLimiterRes> {
  try {
    return await limiter.consume(key);
  } catch (refused) {
    if (!(refused instanceof RateLimiterRes)) throw refused;
    onRefused(refused);
    throw tooMany(refused.msBeforeNext);
  }
}

function tooMany(waitMs: number): DomainError {
  return new DomainError('rate-limited', 'too-many-requests', 'Too many requests.', {
    fix: 'Wait as long as Retry-After says; `RateLimit` tells how many requests are left.',
    retryable: true,
    retryAfterMs: waitMs,
  });
}
