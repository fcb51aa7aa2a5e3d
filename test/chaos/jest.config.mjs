import { join } from 'node:path';
import { base } from '../../jest.config.mjs';

/** `npm run test:chaos`: processes are killed, stopped and starved in the middle of a job; a few minutes in all. */
export default {
  ...base,
  rootDir: join(import.meta.dirname, '../..'),
  testMatch: ['<rootDir>/test/chaos/**/*.spec.ts'],
  globalSetup: '<rootDir>/test/setup/start.mjs',
  globalTeardown: '<rootDir>/test/setup/stop.mjs',
  maxWorkers: 1,
  testTimeout: 180_000,
};
