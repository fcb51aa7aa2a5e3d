import js from '@eslint/js';
import boundaries from 'eslint-plugin-boundaries';
import tseslint from 'typescript-eslint';
import { allowedFor, allowedForApp, apps, rooms } from './scripts/frame/house.mjs';

const specs = [
  '**/*.spec.ts',
  '**/*.contract.ts',
  '**/*.fixture.ts',
  'test/**',
  'libs/testing/**',
  '**/testing/**',
  '**/s3-stand-in.ts',
  'libs/adapters/conformance/**',
];
const any = (types) => ({ to: { element: { types: { anyOf: types } } } });

const policies = [
  ...rooms.map((room) => ({ from: { element: { type: room } }, allow: any(allowedFor(room)) })),
  ...apps.map((app) => ({
    from: { element: { type: `app-${app}` } },
    allow: any([`app-${app}`, ...allowedForApp(app)]),
  })),
  { from: { element: { type: 'client' } }, allow: any(['client', 'contracts', 'kernel']) },
  { from: { element: { type: 'testing' } }, allow: any(['testing', ...rooms]) },
  {
    from: { element: { type: 'tests' } },
    allow: any(['tests', 'testing', 'client', 'migrations', ...rooms, ...apps.map((a) => `app-${a}`)]),
  },
  { from: { element: { type: 'migrations' } }, allow: any(['migrations', ...rooms]) },
  // The schema's history belongs to the database room, which applies it.
  { from: { element: { type: 'platform/database' } }, allow: any(['migrations']) },
];

export default tseslint.config(
  { ignores: ['dist', 'node_modules', '.berth', 'libs/client/generated', 'coverage', 'tools'] },
  {
    files: ['**/*.ts'],
    extends: [js.configs.recommended, ...tseslint.configs.recommended],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { boundaries },
    settings: {
      'boundaries/elements': [
        ...rooms.map((room) => ({ type: room, pattern: `libs/${room}` })),
        ...apps.map((app) => ({ type: `app-${app}`, pattern: `apps/${app}` })),
        { type: 'testing', pattern: 'libs/testing' },
        { type: 'client', pattern: 'libs/client' },
        { type: 'migrations', pattern: 'migrations' },
        { type: 'tests', pattern: 'test' },
      ],
      'import/resolver': {
        typescript: {
          project: 'tsconfig.json',
          conditionNames: ['berth-source', 'types', 'import', 'node', 'default'],
        },
      },
    },
    rules: {
      'boundaries/dependencies': ['error', { default: 'disallow', policies }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/ban-ts-comment': [
        'error',
        { 'ts-expect-error': true, 'ts-ignore': true, 'ts-nocheck': true },
      ],
      // Control characters are what several of our checks look for.
      'no-control-regex': 'off',
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: ['#*/*/*', '!#testing/*'], message: 'Rooms are entered through their index: #floor/room.' },
            { regex: '^\\.\\./(\\.\\./)+libs/', message: 'Name the room: #floor/room.' },
          ],
        },
      ],
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'libs/platform/config is the one reader of the environment.' },
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: "CallExpression[callee.property.name='query'] > TemplateLiteral.arguments[expressions.length>0]",
          message: 'Raw SQL goes through the sql tag; values become parameters.',
        },
        {
          selector: "CallExpression[callee.property.name='query'] > BinaryExpression.arguments[operator='+']",
          message: 'Raw SQL goes through the sql tag; values become parameters.',
        },
      ],
    },
  },
  {
    // Programs of their own, with one reader each; and the pieces that hand the environment on to child processes.
    files: ['libs/platform/config/**', 'apps/agent/**', 'apps/sandbox/**', 'apps/cli/**', ...specs, 'scripts/**'],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: specs,
    rules: { 'boundaries/dependencies': 'off', 'no-restricted-syntax': 'off' },
  },
  {
    // Utility statements (CREATE ROLE, CREATE DATABASE) take no parameters; names and passwords there are our own.
    files: ['libs/platform/embedded/**', 'libs/platform/database/migrate.ts', 'migrations/**'],
    rules: { 'no-restricted-syntax': 'off' },
  },
);
