import { AsyncLocalStorage } from 'node:async_hooks';

/** What every log line of one request, reconcile or poll carries. */
export interface Context {
  readonly requestId?: string;
  readonly traceId?: string;
  readonly spanId?: string;
  /** Row that is worked on, such as `lease` and its id. */
  readonly kind?: string;
  readonly id?: string;
  readonly organizationId?: string;
  readonly projectId?: string;
}

const storage = new AsyncLocalStorage<Context>();

/** Runs `work` with these facts added to the ones around it; everything it awaits sees them. */
export function withContext<T>(facts: Context, work: () => T): T {
  return storage.run({ ...storage.getStore(), ...facts }, work);
}

export function currentContext(): Context {
  return storage.getStore() ?? {};
}
