import { MemoryStore, type Tx } from '#platform/database';
import { Holds } from '#money/quotas';
import { LeaseReconciler, Leases } from '#compute/leases';
import { JobWork, shards } from '#work/jobs';
import type { ProviderPort, WorkReport } from '#contracts';
import type { Wrongness } from './history.js';

/** The product with one thing broken. `install` patches it and returns how to mend it; `world` breaks what the simulation itself provides. */
export interface Mutant {
  readonly name: string;
  readonly world?: Wrongness;
  readonly install?: () => () => void;
}

type Methods = Record<string, (...args: never[]) => unknown>;

/** Replaces a method, also a private one: a mutant may reach where nobody else should. */
function patch(
  target: object,
  name: string,
  make: (original: (...args: unknown[]) => unknown) => (this: unknown, ...args: unknown[]) => unknown,
): () => void {
  const methods = target as Methods;
  const original = methods[name] as unknown as (...args: unknown[]) => unknown;
  if (typeof original !== 'function') throw new Error(`there is no ${name} to break`);
  methods[name] = make(original) as unknown as Methods[string];
  return () => {
    methods[name] = original as unknown as Methods[string];
  };
}

/** Every transaction of the in-memory store gets a changed `update`. */
function patchUpdates(change: (table: string, where: Record<string, unknown>) => Record<string, unknown>): () => void {
  return patch(
    MemoryStore.prototype,
    'transaction',
    (original) =>
      function (this: unknown, actor: unknown, work: unknown) {
        const wrapped = (tx: Tx): unknown => {
          const update = tx.update.bind(tx) as (
            t: { name: string },
            where: Record<string, unknown>,
            p: unknown,
          ) => unknown;
          (tx as unknown as Methods)['update'] = ((t: { name: string }, where: Record<string, unknown>, p: unknown) =>
            update(t, change(t.name, where), p)) as unknown as Methods[string];
          return (work as (tx: Tx) => unknown)(tx);
        };
        return original.call(this, actor, wrapped);
      },
  );
}

const without = (where: Record<string, unknown>, name: string): Record<string, unknown> =>
  Object.fromEntries(Object.entries(where).filter(([k]) => k !== name));

export const mutants: readonly Mutant[] = [
  {
    name: 'no-version-guard',
    install: () =>
      patchUpdates((table, where) => (table === 'leases' || table === 'jobs' ? without(where, 'version') : where)),
  },
  {
    name: 'retry-unknown',
    // After an unknown outcome: believe at once that there is no machine, and ask again.
    world: { port: (port) => withPort(port, { list: () => (async function* () {})() }) },
  },
  {
    name: 'no-fence',
    // A report counts whatever fence it carries.
    install: () =>
      patch(
        JobWork.prototype,
        'report',
        (original) =>
          async function (this: unknown, ...args: unknown[]) {
            const [tx, agent, reports, logs] = args as [Tx, unknown, WorkReport[], unknown];
            const known = new Map(
              (await tx.find(shards, { id: { in: reports.map((r) => r.workId) } })).map((s) => [s.id, s.fence]),
            );
            return original.call(
              this,
              tx,
              agent,
              reports.map((r) => ({ ...r, fence: known.get(r.workId) ?? r.fence })),
              logs,
            );
          },
      ),
  },
  { name: 'forget-to-settle', install: () => patch(Holds.prototype, 'settle', () => () => Promise.resolve()) },
  {
    name: 'meter-without-mark',
    install: () =>
      patch(
        Leases.prototype,
        'meter',
        (original) =>
          async function (this: unknown, ...args: unknown[]) {
            const { amounts } = (await original.apply(this, args)) as { amounts: unknown };
            return { patch: {}, amounts };
          },
      ),
  },
  { name: 'sweeper-off', world: { sweeper: false } },
  { name: 'wakes-and-sweeper-off', world: { sweeper: false, wakes: false } },
  { name: 'orphan-sweep-off', world: { orphans: false } },
  { name: 'take-over-early', world: { leaseTimes: { callDeadlineMs: -7_900 } } },
  {
    name: 'terminate-assumed',
    install: () =>
      patch(
        LeaseReconciler.prototype,
        'finishTermination',
        () =>
          async function (this: unknown, lease: unknown) {
            const self = this as {
              tx(work: (tx: Tx) => Promise<void>): Promise<void>;
              endMetered(tx: Tx, lease: unknown, reason: string, message: string): Promise<void>;
            };
            await self.tx((tx) => self.endMetered(tx, lease, 'released', 'assumed gone'));
            return 'rest';
          },
      ),
  },
  {
    name: 'no-send-budget',
    world: {
      port: (port) =>
        withPort(port, { create: (request) => port.create({ ...request, sendBeforeMs: Number.MAX_SAFE_INTEGER }) }),
    },
  },
  {
    name: 'double-count',
    install: () =>
      patch(
        JobWork.prototype,
        'count',
        (original) =>
          async function (this: unknown, ...args: unknown[]) {
            await original.apply(this, args);
            return original.apply(this, args);
          },
      ),
  },
];

function withPort(port: ProviderPort, change: Partial<ProviderPort>): ProviderPort {
  return {
    describe: () => port.describe(),
    listOffers: () => port.listOffers(),
    create: (request) => port.create(request),
    get: (id) => port.get(id),
    list: (installId) => port.list(installId),
    terminate: (id) => port.terminate(id),
    probe: () => port.probe(),
    ...change,
  };
}
