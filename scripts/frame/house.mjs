/**
 * The house as data: rooms by floor, lowest first, and the edges allowed inside a floor. A room may import every room of
 * the floors below it. docs/architecture.md draws the same house; eslint and dependency-cruiser hold the code to it.
 */
export const floors = [
  ['kernel'],
  ['hardware', 'contracts'],
  [
    'platform/config',
    'platform/observability',
    'platform/database',
    'platform/queue',
    'platform/reconcile',
    'platform/objects',
    'platform/secrets',
    'platform/embedded',
  ],
  ['adapters/sandbox', 'adapters/sandbox-cloud', 'adapters/conformance', 'adapters/stripe'],
  ['identity/tenancy', 'identity/audit'],
  [
    'money/ledger',
    'money/rating',
    'money/quotas',
    'money/metering',
    'money/commitments',
    'money/storage',
    'money/margins',
    'money/vendor-invoices',
    'money/billing',
    'money/payments',
    'money/payouts',
  ],
  [
    'market/survival',
    'market/packing',
    'market/catalog',
    'market/reliability',
    'market/reservations',
    'market/speeds',
    'market/placement',
    'market/sizing',
  ],
  ['compute/providers', 'compute/agents', 'compute/artifacts', 'compute/hosts', 'compute/leases', 'compute/orphans'],
  ['work/quotes', 'work/jobs'],
  ['broker'],
];

/** Edges inside a floor: from -> to. */
export const innerEdges = {
  contracts: ['hardware'],
  'platform/observability': ['platform/config'],
  'platform/database': ['platform/config', 'platform/observability'],
  'platform/queue': ['platform/config', 'platform/observability'],
  'platform/reconcile': ['platform/queue', 'platform/database', 'platform/config', 'platform/observability'],
  'platform/objects': ['platform/config', 'platform/observability'],
  'platform/secrets': ['platform/config', 'platform/observability'],
  'platform/embedded': ['platform/config', 'platform/observability'],
  'adapters/sandbox': ['adapters/sandbox-cloud', 'adapters/conformance'],
  'adapters/sandbox-cloud': ['adapters/conformance'],
  'identity/audit': ['identity/tenancy'],
  'money/quotas': ['money/ledger', 'money/rating'],
  'money/metering': ['money/ledger', 'money/rating', 'money/quotas'],
  'money/commitments': ['money/ledger', 'money/rating', 'money/quotas', 'money/metering'],
  'money/storage': ['money/ledger', 'money/rating', 'money/quotas', 'money/metering'],
  'money/margins': ['money/ledger'],
  'money/billing': ['money/ledger', 'money/metering'],
  'money/payments': ['money/ledger', 'money/billing'],
  'money/vendor-invoices': ['money/ledger', 'money/metering'],
  'money/payouts': ['money/ledger', 'money/metering', 'money/billing', 'money/payments'],
  'market/reliability': ['market/survival', 'market/packing', 'market/catalog'],
  'market/placement': [
    'market/survival',
    'market/reliability',
    'market/reservations',
    'market/speeds',
    'market/catalog',
  ],
  'market/sizing': ['market/catalog', 'market/placement'],
  'compute/hosts': ['compute/agents', 'compute/providers'],
  'compute/leases': ['compute/agents', 'compute/providers', 'compute/artifacts'],
  'compute/orphans': ['compute/leases', 'compute/providers'],
  'work/jobs': ['work/quotes'],
};

/** Floor 3 knows the port and the kernel only; features never import an adapter: the composition binds them. */
const onlyTheseFloors = { 3: [0, 1] };
const hiddenFloors = { 4: [3], 5: [3], 6: [3], 7: [3], 8: [3] };

export const rooms = floors.flat();
export const apps = ['api', 'worker', 'agent', 'cli', 'sandbox'];

/** What the agent (it runs on other people's machines), the CLI and the sandbox may know. */
const narrowApps = {
  agent: ['kernel', 'contracts', 'hardware'],
  sandbox: [
    'kernel',
    'contracts',
    'adapters/sandbox',
    'adapters/sandbox-cloud',
    'adapters/conformance',
    'platform/observability',
  ],
};

/** Every room that `room` may import, itself included. */
export function allowedFor(room) {
  const floor = floors.findIndex((f) => f.includes(room));
  const below = floors
    .slice(0, floor)
    .filter((_, i) => (onlyTheseFloors[floor]?.includes(i) ?? true) && !hiddenFloors[floor]?.includes(i))
    .flat();
  return [room, ...below, ...(innerEdges[room] ?? [])];
}

export function allowedForApp(app) {
  return narrowApps[app] ?? [...rooms, 'client'];
}
