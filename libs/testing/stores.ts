import { Client } from 'pg';
import { ManualClock, systemClock, type Clock } from '#kernel';
import { MemoryStore, openStore, type Store } from '#platform/database';
import { testDatabase } from './database.js';

/** A store for one spec file, and what PostgreSQL alone has. */
export interface SpecStore {
  readonly store: Store;
  readonly clock: Clock;
  /** A connection as the owner of all tables and the urls of the others; null in memory. */
  readonly postgres: { owner: Client; urlFor(role: 'berth_app' | 'berth_worker'): string } | null;
  close(): Promise<void>;
}

export interface SpecStoreKind {
  readonly name: 'in memory' | 'PostgreSQL';
  open(): Promise<SpecStore>;
}

/** Both stores, for `describe.each`: what holds in memory must hold on PostgreSQL. */
export const specStores: readonly SpecStoreKind[] = [
  {
    name: 'in memory',
    open: async () => {
      const clock = new ManualClock(Date.UTC(2026, 10, 21));
      return { store: new MemoryStore(clock), clock, postgres: null, close: async () => undefined };
    },
  },
  { name: 'PostgreSQL', open: openPostgres },
];

/** For pools of specs: a machine that stood still for seconds is no reason to undo a transaction or to refuse a connection. */
export const patient = { idleInTransactionMs: 60_000, connectMs: 60_000 } as const;

async function openPostgres(): Promise<SpecStore> {
  const db = await testDatabase();
  const opened = await openStore(db.ownerUrl, db.secret, { poolSize: 12, name: 'spec', ...patient });
  const owner = new Client({ connectionString: db.ownerUrl });
  await owner.connect();
  return {
    store: opened.store,
    clock: systemClock,
    postgres: { owner, urlFor: (role) => db.urlFor(role) },
    close: async () => {
      await opened.close();
      await owner.end();
      await db.close();
    },
  };
}
