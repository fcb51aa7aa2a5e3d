import { MemoryStore, WORKER, type Tx } from '#platform/database';
import { Holds } from '#money/quotas';
import { LeaseEnding, LeaseRequesting, LeaseRunning, Leases, type LeaseRow } from '#compute/leases';
import { OrphanSweep } from '#compute/orphans';
import { ReconcileLoop } from '#platform/reconcile';
import { JobWork, shards } from '#work/jobs';
import { VendorError, type CreateOutcome, type ProviderPort, type WorkReport } from '#contracts';
import type { Wrongness } from './history.js';
import { live } from './live.js';
import { drawRestore, drawScenario } from './scenario.js';

/** The product with one thing broken. `install` patches it and returns how to mend it; `world` breaks what the simulation itself provides. */
export interface Mutant {
  readonly name: string;
  /** Lives worlds in which a database is restored. */
  readonly restored?: true;
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
            ...rest: unknown[]
          ) => unknown;
          (tx as unknown as Methods)['update'] = ((
            t: { name: string },
            where: Record<string, unknown>,
            ...rest: unknown[]
          ) => update(t, change(t.name, where), ...rest)) as unknown as Methods[string];
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
    // An unknown outcome is taken for a failure: asked anew without looking.
    install: () =>
      patch(
        LeaseRequesting.prototype,
        'applyOutcome',
        (original) =>
          function (this: unknown, ...args: unknown[]) {
            const [tx, lease, attempt, outcome] = args as [Tx, LeaseRow, unknown, CreateOutcome];
            const failed = { kind: 'failed', error: new VendorError('transient', 'offer', 'assumed'), vendorId: null };
            return original.call(this, tx, lease, attempt, outcome.kind === 'unknown' ? failed : outcome);
          },
      ),
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
            const [sight, reports, logs] = args as [{ tx: Tx }, WorkReport[], unknown];
            const known = new Map(
              (await sight.tx.find(shards, { id: { in: reports.map((r) => r.workId) } })).map((s) => [s.id, s.fence]),
            );
            return original.call(
              this,
              sight,
              reports.map((r) => ({ ...r, fence: known.get(r.workId) ?? r.fence })),
              logs,
            );
          },
      ),
  },
  { name: 'forget-to-settle', install: () => patch(Holds.prototype, 'settle', () => () => Promise.resolve(null)) },
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
        LeaseEnding.prototype,
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
    name: 'charge-after-termination',
    install: () =>
      patch(
        Leases.prototype,
        'meter',
        (original) =>
          function (this: unknown, ...args: unknown[]) {
            const [tx, lease, ...rest] = args as [unknown, LeaseRow, ...unknown[]];
            return original.call(
              this,
              tx,
              lease.state === 'terminating' ? { ...lease, state: 'ready' } : lease,
              ...rest,
            );
          },
      ),
  },
  {
    name: 'meter-by-own-clock',
    install: () =>
      patch(
        Leases.prototype,
        'meter',
        (original) =>
          function (this: unknown, ...args: unknown[]) {
            const [tx, lease, , ...rest] = args;
            const { clock } = this as { clock: { now(): number } };
            return original.call(this, tx, lease, clock.now(), ...rest);
          },
      ),
  },
  {
    name: 'sweep-through-queue-only',
    install: () =>
      patch(
        ReconcileLoop.prototype,
        'sweep',
        (original) =>
          function (this: unknown, ...args: unknown[]) {
            // What it has seen due before: without it nothing is ever driven past the queue.
            (this as { overdue: Map<string, unknown> }).overdue.clear();
            return original.apply(this, args);
          },
      ),
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
  {
    name: 'partial-list-believed',
    // A machine that a doubtful list lacks is lost, whatever the vendor says of it.
    install: () => {
      const lost = new Set<string>();
      const mends = [
        patch(
          OrphanSweep.prototype,
          'confirm',
          () =>
            function (this: unknown, ...args: unknown[]) {
              const [, missing] = args as [string, LeaseRow[]];
              for (const { id } of missing) lost.add(id);
              return Promise.resolve();
            },
        ),
        patch(
          LeaseRunning.prototype,
          'poll',
          (original) =>
            async function (this: unknown, ...args: unknown[]) {
              const [lease] = args as [LeaseRow];
              if (!lost.has(lease.id)) return original.apply(this, args);
              const self = this as {
                tx(work: (tx: Tx) => Promise<void>): Promise<void>;
                ending: { endMetered(tx: Tx, lease: unknown, reason: string, message: string): Promise<void> };
              };
              await self.tx((tx) => self.ending.endMetered(tx, lease, 'lost', 'no list shows it'));
              return 'rest';
            },
        ),
      ];
      return () => mends.forEach((mend) => mend());
    },
  },
  {
    name: 'sweep-after-restore',
    restored: true,
    // What the database does not know is nobody's.
    install: () =>
      patch(
        OrphanSweep.prototype,
        'standing',
        () =>
          async function (this: unknown, ...args: unknown[]) {
            const { d } = this as { d: { store: MemoryStore } };
            const [, proofs] = args as [string, string[]];
            const now = await d.store.transaction(WORKER, (tx) => tx.now());
            return { now, confirmed: new Set(proofs), paused: false, begun: false };
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

const SEEDS = 50;

/** Lives seeds under each mutant until one of them breaks; says which mutants none of them caught. */
export async function hunt(say: (line: string) => void): Promise<{ passed: number; failed: number }> {
  let passed = 0;
  for (const mutant of mutants) {
    const mend = mutant.install?.() ?? ((): void => undefined);
    let caught: string | null = null;
    try {
      for (let seed = 1; seed <= SEEDS && caught === null; seed++) {
        const scenario = (mutant.restored ? drawRestore : drawScenario)(seed);
        const { broken } = await live(seed % 5 === 1 ? { ...scenario, faults: [] } : scenario, mutant.world ?? {});
        if (broken !== null) caught = `caught at seed ${seed}: ${broken.split('\n')[0]?.slice(0, 120)}`;
      }
    } finally {
      mend();
    }
    if (caught !== null) passed++;
    say(`mutant ${mutant.name.padEnd(24)} ${caught ?? `was not caught in ${SEEDS} seeds`}`);
  }
  return { passed, failed: mutants.length - passed };
}
