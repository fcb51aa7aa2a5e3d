import { allowedFor, rooms } from './scripts/frame/house.mjs';

const quoted = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const support =
  '(\\.(spec|contract|fixture)\\.ts$|/testing/|^libs/testing|^libs/adapters/conformance|s3-stand-in\\.ts$)';

/** The second net: no cycles anywhere, and every arrow between rooms is one of the house's. */
export default {
  forbidden: [
    // The generated client's type files name each other; they hold no code.
    { name: 'no-cycles', severity: 'error', from: { pathNot: '^libs/client/generated/' }, to: { circular: true } },
    ...rooms.map((room) => ({
      name: `walls-of-${room.replace('/', '-')}`,
      severity: 'error',
      from: { path: `^libs/${quoted(room)}/`, pathNot: support },
      to: {
        path: '^(libs|apps)/',
        pathNot: allowedFor(room).map((to) => `^libs/${quoted(to)}/`),
      },
    })),
    { name: 'libs-know-no-apps', severity: 'error', from: { path: '^libs/' }, to: { path: '^apps/' } },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|node_modules)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['berth-source', 'import', 'node', 'default', 'types'],
      extensions: ['.ts', '.mjs', '.js', '.json'],
    },
  },
};
