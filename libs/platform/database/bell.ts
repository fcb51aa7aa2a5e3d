import { Client } from 'pg';

const CHANNEL = 'berth_bell';
const LISTEN = 'listen berth_bell';
/** Rings within this time go out as one notification. */
const BATCH_MS = 5;
/** PostgreSQL refuses payloads of 8,000 bytes. */
const BATCH_IDS = 150;
const RECONNECT_MS = 1_000;

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
    private readonly reconnectMs = RECONNECT_MS,
  ) {}

  /** Tries to connect once and keeps trying on its own after that; never throws. */
  async open(): Promise<void> {
    await this.connect();
  }

  private async connect(): Promise<void> {
    const client = new Client({ connectionString: this.url, application_name: 'berth-bell', keepAlive: true });
    let gone = false;
    // A dying connection tells of it more than once: as an error, as its end, and to whoever awaits it.
    const lost = (error: unknown): void => {
      if (gone) return;
      gone = true;
      if (this.client === client) this.client = undefined;
      client.end().catch(() => undefined);
      if (this.closed) return;
      this.onError(error);
      setTimeout(() => {
        if (!this.closed) void this.connect();
      }, this.reconnectMs).unref();
    };
    client.on('notification', ({ payload }) => {
      for (const id of (payload ?? '').split(' ')) this.wakeHere(id);
    });
    client.on('error', lost);
    client.on('end', () => lost(new Error('the connection ended')));
    try {
      await client.connect();
      await client.query(LISTEN);
    } catch (error) {
      lost(error);
      return;
    }
    if (this.closed) lost(undefined);
    if (gone) return;
    this.client = client;
    // Nobody knows what was rung while nobody listened.
    for (const id of [...this.waiting.keys()]) this.wakeHere(id);
  }

  /** Everybody who waits for this id looks again, here at once and elsewhere within milliseconds. */
  ring(id: string): void {
    this.wakeHere(id);
    this.pending.add(id);
    this.timer ??= setTimeout(() => void this.flush(), BATCH_MS);
  }

  /** One statement at a time: what is rung meanwhile goes out with the next. */
  private async flush(): Promise<void> {
    const ids = [...this.pending];
    this.pending = new Set();
    const { client } = this;
    if (client) {
      const batches: string[] = [];
      for (let i = 0; i < ids.length; i += BATCH_IDS) batches.push(ids.slice(i, i + BATCH_IDS).join(' '));
      try {
        await client.query('select pg_notify($1, batch) from unnest($2::text[]) as batch', [CHANNEL, batches]);
      } catch (error) {
        // A lost connection has told of itself.
        if (this.client === client && !this.closed) this.onError(error);
      }
    }
    this.timer = this.pending.size > 0 && !this.closed ? setTimeout(() => void this.flush(), BATCH_MS) : undefined;
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
        signal?.removeEventListener('abort', done);
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
