/** One runner for specs beside the code and for test/; every project shares this base. */
const base = {
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  testEnvironmentOptions: { customExportConditions: ['berth-source', 'node', 'node-addons'] },
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          target: 'es2022',
          keepClassNames: true,
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/.berth', '<rootDir>/tools'],
};
export default {
  ...base,
  testMatch: ['<rootDir>/{apps,libs,migrations,scripts}/**/*.spec.ts', '<rootDir>/test/{e2e,frame,sim}/**/*.spec.ts'],
  globalSetup: '<rootDir>/test/setup/start.mjs',
  globalTeardown: '<rootDir>/test/setup/stop.mjs',
  maxWorkers: 2,
  testTimeout: 60_000,
};
export { base };
