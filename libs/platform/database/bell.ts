import { Client } from 'pg';

const CHANNEL = 'berth_bell';
const LISTEN = 'listen berth_bell';
/** Rings within this time go out as one notification. */
const BATCH_MS = 5;
/** PostgreSQL refuses payloads of 8,000 bytes. */
const BATCH_IDS = 150;

/**
 * Tells waiting long polls, in all processes, that something changed for an id. One connection per process listens; rings are
 * batched and sent outside business transactions, because NOTIFY inside them costs more than half their rate. Best effort: whoever
 * waits has a time limit and looks for itself.
 */
export class Bell {
  private readonly waiting = new Map<string, Set<() => void>>();
  private pending = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private client: Client | undefined;
  private closed = false;

  constructor(
    private readonly url: string,
    private readonly onError: (error: unknown) => void,
  ) {}

  async open(): Promise<void> {
    await this.connect();
  }

  private async connect(): Promise<void> {
    const client = new Client({ connectionString: this.url, application_name: 'berth-bell', keepAlive: true });
    client.on('notification', ({ payload }) => {
      for (const id of (payload ?? '').split(' ')) this.wakeHere(id);
    });
    client.on('error', (error) => this.lost(client, error));
    client.on('end', () => this.lost(client, new Error('the connection ended')));
    try {
      await client.connect();
      await client.query(LISTEN);
      this.client = client;
    } catch (error) {
      this.lost(client, error);
    }
  }

  private lost(client: Client, error: unknown): void {
    if (this.closed || (this.client !== undefined && this.client !== client)) return;
    this.client = undefined;
    client.removeAllListeners('end');
    client.end().catch(() => undefined);
    this.onError(error);
    setTimeout(() => {
      if (!this.closed && this.client === undefined) void this.connect();
    }, 1_000).unref();
  }

  /** Everybody who waits for this id looks again, here at once and elsewhere within milliseconds. */
  ring(id: string): void {
    this.wakeHere(id);
    this.pending.add(id);
    this.timer ??= setTimeout(() => this.flush(), BATCH_MS);
  }

  private flush(): void {
    this.timer = undefined;
    const ids = [...this.pending];
    this.pending = new Set();
    const { client } = this;
    if (!client) return;
    for (let i = 0; i < ids.length; i += BATCH_IDS) {
      client
        .query('select pg_notify($1, $2)', [CHANNEL, ids.slice(i, i + BATCH_IDS).join(' ')])
        .catch((e: unknown) => this.onError(e));
    }
  }

  private wakeHere(id: string): void {
    const waiters = this.waiting.get(id);
    if (!waiters) return;
    this.waiting.delete(id);
    for (const wake of waiters) wake();
  }

  /** Resolves when the id is rung, or after `timeoutMs`, or when `signal` aborts. */
  wait(id: string, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      let waiters = this.waiting.get(id);
      if (!waiters) this.waiting.set(id, (waiters = new Set()));
      const own = waiters;
      const done = (): void => {
        clearTimeout(timer);
        own.delete(done);
        if (own.size === 0 && this.waiting.get(id) === own) this.waiting.delete(id);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      own.add(done);
      signal?.addEventListener('abort', done, { once: true });
      if (signal?.aborted) done();
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    for (const id of [...this.waiting.keys()]) this.wakeHere(id);
    await this.client?.end().catch(() => undefined);
  }
}
