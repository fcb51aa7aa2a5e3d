import { it } from '@jest/globals';
import { hasRedis, testRedis } from '#testing';
import { mainJobSuite } from '../e2e/main-job.suite.js';

if (hasRedis()) {
  mainJobSuite('Redis', async () => {
    const { url, close } = await testRedis();
    return { redisUrl: url, close };
  });
} else {
  console.warn('SKIPPED: there is no redis-server on this machine, so the main job was not run with Redis.');
  it.skip('the main job, the queue on Redis (no redis-server)', () => undefined);
}
