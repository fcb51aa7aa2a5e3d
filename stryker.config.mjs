/** What decides over money and states, without the rooms around it. */
const quick = [
  'libs/money/ledger/seal.ts',
  'libs/platform/reconcile/transition.ts',
  'libs/kernel/machine.ts',
  'libs/money/billing/lines/cents.ts',
  'libs/money/quotas/credit-room.ts',
];
const whole = [
  ...quick,
  'libs/money/ledger/{post,reading,sealer}.ts',
  'libs/money/quotas/{holds.procedures,hold-groups.procedures,quotas.procedures,room}.ts',
  'libs/platform/reconcile/{awake,loop}.ts',
];

/** `npm run test:mutation` changes the code in small ways and counts how often the specs notice. */
const config = {
  testRunner: 'jest',
  testRunnerNodeArgs: ['--experimental-vm-modules'],
  jest: { projectType: 'custom', configFile: 'test/mutation/jest.config.mjs', enableFindRelatedTests: true },
  coverageAnalysis: 'perTest',
  mutate: whole,
  // What runs once, when a file is loaded, no test can be told to have reached: each of those changes is put to all specs.
  ignoreStatic: false,
  // Texts for people are not behaviour.
  mutator: { excludedMutations: ['StringLiteral'] },
  ignorePatterns: ['dist', '.berth', 'docs', 'data', 'tools'],
  thresholds: { high: 95, low: 90, break: 85 },
  reporters: ['clear-text', 'progress-append-only', 'json'],
  jsonReporter: { fileName: 'reports/mutation.json' },
  clearTextReporter: { allowColor: false, reportTests: false },
  concurrency: 2,
  timeoutMS: 20_000,
  tempDirName: '.stryker-tmp',
  checkers: [],
};

export default config;
export { quick };
