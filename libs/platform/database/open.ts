import { openDataSource, roleUrl, type PoolOptions } from './migrate.js';
import { PgStore } from './pg-store.js';

export interface OpenStore {
  readonly store: PgStore;
  close(): Promise<void>;
}

/** Opens the pools of one process: one per role, `poolSize` connections each. */
export async function openStore(
  ownerUrl: string,
  secret: string,
  options: PoolOptions & { readonly onAfterCommitError?: (error: unknown) => void },
): Promise<OpenStore> {
  const app = await openDataSource(roleUrl(ownerUrl, secret, 'berth_app'), options);
  const worker = await openDataSource(roleUrl(ownerUrl, secret, 'berth_worker'), options);
  return {
    store: new PgStore({ app, worker }, options.onAfterCommitError),
    close: async () => {
      await app.destroy();
      await worker.destroy();
    },
  };
}
