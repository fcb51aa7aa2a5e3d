import { join } from 'node:path';
import { base } from '../../jest.config.mjs';

/** `npm run test:redis`: the queue's contract and the main job with Redis, when there is a redis-server. */
export default {
  ...base,
  rootDir: join(import.meta.dirname, '../..'),
  testMatch: ['<rootDir>/test/redis/**/*.spec.ts', '<rootDir>/libs/platform/queue/queue.spec.ts'],
  globalSetup: '<rootDir>/test/setup/start.mjs',
  globalTeardown: '<rootDir>/test/setup/stop.mjs',
  maxWorkers: 1,
  testTimeout: 60_000,
};
