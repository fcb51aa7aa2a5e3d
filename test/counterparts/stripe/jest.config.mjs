import { join } from 'node:path';
import { base } from '../../../jest.config.mjs';

/** `npm run test:stripe`: our code, and Stripe's own command line, against a Stripe that knows Stripe's types. */
export default {
  ...base,
  rootDir: join(import.meta.dirname, '../../..'),
  testMatch: ['<rootDir>/test/counterparts/stripe/**/*.spec.ts'],
  globalSetup: '<rootDir>/test/setup/start.mjs',
  globalTeardown: '<rootDir>/test/setup/stop.mjs',
  maxWorkers: 1,
  testTimeout: 60_000,
};
