import { base } from '../../jest.config.mjs';

/** The specs of what is mutated, in memory only: no server is started, so that thousands of runs are quick. */
export default {
  ...base,
  rootDir: new URL('../..', import.meta.url).pathname.replace(/\/$/, ''),
  moduleNameMapper: { ...base.moduleNameMapper, '^#testing$': '<rootDir>/test/mutation/memory-stores.ts' },
  // Tells which test reaches which change, so that only those run.
  testEnvironment: '@stryker-mutator/jest-runner/jest-env/node',
  // The sandbox is a folder of its own below the checkout.
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/.berth', '<rootDir>/tools'],
  testMatch: [
    '<rootDir>/libs/money/ledger/{seal,sealer,reading,reverse,ledger,post}.spec.ts',
    '<rootDir>/libs/platform/reconcile/*.spec.ts',
    '<rootDir>/libs/money/quotas/{room,holds,holds.procedures,hold-groups,renewal,credit-room,quotas,counting,admit}.spec.ts',
    '<rootDir>/libs/kernel/machine.spec.ts',
    '<rootDir>/libs/money/billing/lines/cents.spec.ts',
  ],
  setupFiles: ['<rootDir>/test/mutation/end-on-failure.ts'],
  testTimeout: 20_000,
};
