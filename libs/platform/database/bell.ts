import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { Gather } from '#kernel';

const CHANNEL = 'berth_bell';
const LISTEN = 'listen berth_bell';
/** Rings within this time of the last notification go out as one: each wakes every listening connection of the database. */
const WINDOW_MS = 50;
/** Ids whose rings are remembered at most. */
const WATCHED_AT_MOST = 50_000;
/** PostgreSQL refuses payloads of 8,000 bytes. */
const BATCH_IDS = 150;
const RECONNECT_MS = 1_000;

/**
 * Tells waiting long polls, in all processes, that something changed for an id. One connection per process listens; rings are
 * batched and sent outside business transactions, because NOTIFY inside them costs more than half their rate. Best effort: whoever
 * waits has a time limit and looks for itself.
 */
export class Bell {
  private readonly name = randomUUID();
  private readonly waiting = new Map<string, Set<() => void>>();
  /** Ids that somebody will wait for again, and whether they were rung since `watch`. */
  private readonly watched = new Map<string, boolean>();
  private readonly out = new Gather<string>((ids) => this.notify(ids), WINDOW_MS);
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
      if (this.client === client) {
        this.client = undefined;
        this.watched.clear();
      }
      client.end().catch(() => undefined);
      if (this.closed) return;
      this.onError(error);
      setTimeout(() => {
        if (!this.closed) void this.connect();
      }, this.reconnectMs).unref();
    };
    client.on('notification', ({ payload }) => {
      const [sender, ...ids] = (payload ?? '').split(' ');
      // What this process rang itself was heard here at once; its echo may be of before a look.
      if (sender !== this.name) for (const id of ids) this.wakeHere(id);
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
    this.watched.clear();
    for (const id of [...this.waiting.keys()]) this.wakeHere(id);
  }

  /** Everybody who waits for this id looks again, here at once and elsewhere within milliseconds. */
  ring(id: string): void {
    this.wakeHere(id);
    void this.out.add(id, id);
  }

  /** From now on, `rang` knows of this id. */
  watch(id: string): void {
    this.watched.delete(id);
    if (this.watched.size >= WATCHED_AT_MOST) this.watched.clear();
    if (this.client) this.watched.set(id, false);
  }

  /** Whether the id was rung since `watch`, by whichever process; true, too, where nobody can know. */
  rang(id: string): boolean {
    return this.watched.get(id) ?? true;
  }

  private async notify(ids: readonly string[]): Promise<void> {
    const { client } = this;
    if (!client) return;
    const batches: string[] = [];
    for (let i = 0; i < ids.length; i += BATCH_IDS) batches.push([this.name, ...ids.slice(i, i + BATCH_IDS)].join(' '));
    try {
      await client.query('select pg_notify($1, batch) from unnest($2::text[]) as batch', [CHANNEL, batches]);
    } catch (error) {
      // A lost connection has told of itself.
      if (this.client === client && !this.closed) this.onError(error);
    }
  }

  private wakeHere(id: string): void {
    if (this.watched.has(id)) this.watched.set(id, true);
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
    await this.out.flush();
    for (const id of [...this.waiting.keys()]) this.wakeHere(id);
    await this.client?.end().catch(() => undefined);
  }
}
