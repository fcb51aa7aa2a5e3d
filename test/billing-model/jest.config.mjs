import { join } from 'node:path';
import { base } from '../../jest.config.mjs';

/** `npm run test:billing-model`: random histories of the money rooms against plain arithmetic, and a whole month against SQL. */
export default {
  ...base,
  rootDir: join(import.meta.dirname, '../..'),
  testMatch: ['<rootDir>/test/billing-model/**/*.spec.ts'],
  globalSetup: '<rootDir>/test/setup/start.mjs',
  globalTeardown: '<rootDir>/test/setup/stop.mjs',
  maxWorkers: 2,
  testTimeout: 900_000,
};
