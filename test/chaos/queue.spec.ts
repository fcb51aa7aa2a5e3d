import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { hasRedis, testRedis } from '#testing';
import { Rig } from './rig.js';

describe('the queue fails in the middle of a job', () => {
  let rig: Rig;
  let closeRedis: (() => Promise<void>) | undefined;
  afterEach(async () => {
    await rig?.stack.close();
    await closeRedis?.();
    closeRedis = undefined;
  });

  it('in PostgreSQL: emptied again and again', async () => {
    rig = await Rig.start();
    await rig.stack.addHost();
    const job = await rig.submit();
    await rig.stack.emptyQueue();
    await rig.middle(job);
    await rig.stack.emptyQueue();
    await rig.expectWhole(job);
  });

  it('in PostgreSQL: paused, so that it takes every wake-up and gives none out', async () => {
    rig = await Rig.start();
    await rig.stack.addHost();
    const job = await rig.submit();
    await rig.middle(job);
    await rig.stack.pauseQueue();
    await rig.expectWhole(job);
    // The queue was of no use: the rows were driven past it.
    expect(rig.stack.complaints().map((c) => c.msg)).toContain('a safety net had to act');
  });

  const onRedis = hasRedis() ? it : it.skip;
  if (!hasRedis()) console.warn('SKIPPED: there is no redis-server on this machine, so no Redis was flushed.');
  onRedis('in Redis: FLUSHALL', async () => {
    const redis = await testRedis();
    closeRedis = redis.close;
    rig = await Rig.start({ redisUrl: redis.url });
    await rig.stack.addHost();
    const client = new Redis(redis.url);
    const job = await rig.submit();
    await client.flushall();
    await rig.middle(job);
    await client.flushall();
    client.disconnect();
    await rig.expectWhole(job);
  });

  onRedis('in Redis: the server itself dies and does not come back', async () => {
    const redis = await testRedis();
    rig = await Rig.start({ redisUrl: redis.url });
    await rig.stack.addHost();
    const job = await rig.submit();
    await rig.middle(job);
    await redis.close();
    await rig.expectWhole(job);
    expect(rig.stack.workers.map((w) => w.alive)).toEqual([true]);
  });
});
