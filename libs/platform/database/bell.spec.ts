import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Client } from 'pg';
import { testDatabase, type TestDatabase } from '#testing';
import { Bell } from './bell.js';

const LONG_MS = 30_000;

let db: TestDatabase;
let url: string;
let watcher: Client;
const opened: { close(): Promise<unknown> }[] = [];

beforeAll(async () => {
  db = await testDatabase();
  url = db.urlFor('berth_worker');
  watcher = new Client({ connectionString: url });
  await watcher.connect();
});
afterEach(async () => {
  for (const it of opened.splice(0).reverse()) await it.close();
});
afterAll(async () => {
  await watcher.end();
  await db.close();
});

async function bell(at = url, reconnectMs = 20): Promise<{ bell: Bell; errors: unknown[] }> {
  const errors: unknown[] = [];
  const made = new Bell(at, (error) => errors.push(error), reconnectMs);
  await made.open();
  opened.push(made);
  return { bell: made, errors };
}

/** Process ids of the connections that listen now. */
async function listeners(): Promise<number[]> {
  const { rows } = await watcher.query<{ pid: number }>(
    "select pid from pg_stat_activity where application_name = 'berth-bell' and datname = current_database()",
  );
  return rows.map((r) => r.pid);
}

async function until(what: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** A way to the database that can be cut: `refuse` connections are dropped as soon as they say something. */
class Cable {
  refuse = 0;
  arrived = 0;
  private readonly sockets = new Set<Socket>();
  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}
  static async open(): Promise<Cable> {
    const target = new URL(url);
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const through = new URL(url);
    through.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const cable = new Cable(server, through.toString());
    server.on('connection', (near: Socket) => {
      cable.arrived++;
      cable.sockets.add(near);
      near.on('close', () => cable.sockets.delete(near)).on('error', () => undefined);
      if (cable.refuse > 0) {
        cable.refuse--;
        near.once('data', () => near.end());
        return;
      }
      const far = connect(Number(target.port), target.hostname);
      far.on('error', () => near.destroy());
      near.pipe(far).pipe(near);
      near.on('close', () => far.destroy());
    });
    opened.push(cable);
    return cable;
  }
  get live(): number {
    return this.sockets.size;
  }
  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}

describe('the bell', () => {
  it('rings here at once, without a connection', async () => {
    const alone = new Bell('postgres://nobody@127.0.0.1:1/none', () => undefined);
    opened.push(alone);
    const heard = alone.wait('agt_1', LONG_MS);
    alone.ring('agt_1');
    await heard;
  });

  it('rings in other processes, for those who wait for that id and for nobody else', async () => {
    const [here, there] = [(await bell()).bell, (await bell()).bell];
    let other = false;
    const silent = there.wait('agt_2', LONG_MS).then(() => (other = true));
    const heard = Promise.all([there.wait('agt_1', LONG_MS), there.wait('agt_1', LONG_MS)]);
    here.ring('agt_1');
    await heard;
    expect(other).toBe(false);
    here.ring('agt_2');
    await silent;
  });

  it('lets go of a wait when its time is over, and of one that is given up', async () => {
    const one = (await bell()).bell;
    await one.wait('agt_1', 5);
    const control = new AbortController();
    const waiting = one.wait('agt_1', LONG_MS, control.signal);
    control.abort();
    await waiting;
    await one.wait('agt_1', LONG_MS, control.signal);
  });

  it('leaves nothing on the signal of a wait that was rung', async () => {
    const one = (await bell()).bell;
    let added = 0;
    const signal = {
      aborted: false,
      addEventListener: () => added++,
      removeEventListener: () => added--,
    } as unknown as AbortSignal;
    const waiting = one.wait('agt_1', LONG_MS, signal);
    expect(added).toBe(1);
    one.ring('agt_1');
    await waiting;
    expect(added).toBe(0);
  });

  it('remembers what was rung since it was watched, here or elsewhere, but not its own echo', async () => {
    const [here, there] = [(await bell()).bell, (await bell()).bell];
    expect(here.rang('agt_1')).toBe(true);
    here.watch('agt_1');
    there.watch('agt_1');
    expect([here.rang('agt_1'), there.rang('agt_1')]).toEqual([false, false]);
    here.ring('agt_1');
    expect(here.rang('agt_1')).toBe(true);
    here.watch('agt_1');
    await until(() => there.rang('agt_1'));
    // By now the echo has come back here, too: the same notification went to both.
    const heard = here.wait('agt_2', LONG_MS);
    there.ring('agt_2');
    await heard;
    expect(here.rang('agt_1')).toBe(false);
  });

  it('knows nothing of what was rung while its connection was away', async () => {
    const one = await bell();
    one.bell.watch('agt_1');
    for (const pid of await listeners()) await watcher.query('select pg_terminate_backend($1)', [pid]);
    await until(() => one.errors.length > 0);
    expect(one.bell.rang('agt_1')).toBe(true);
    one.bell.watch('agt_1');
    expect(one.bell.rang('agt_1')).toBe(true);
  });

  it('sends many rings as few notifications, each id once', async () => {
    const here = (await bell()).bell;
    const payloads: string[] = [];
    const ear = new Client({ connectionString: url });
    await ear.connect();
    opened.push({ close: () => ear.end() });
    ear.on('notification', ({ payload }) => payloads.push(payload ?? ''));
    await ear.query('listen berth_bell');
    const ids = Array.from({ length: 1_000 }, (_, i) => `agt_${String(i).padStart(26, '0')}`);
    for (const id of [...ids, ...ids]) here.ring(id);
    // The first word says who rings.
    const seen = (): string[] => payloads.flatMap((p) => p.split(' ').slice(1));
    await until(() => seen().length >= ids.length);
    expect(seen().sort()).toEqual(ids);
    expect(payloads).toHaveLength(Math.ceil(1_000 / 150));
  });

  it('listens again after its connection was ended, with one connection, and wakes who waited through it', async () => {
    const [here, there] = [(await bell()).bell, await bell()];
    const before = await listeners();
    expect(before).toHaveLength(2);
    const waiting = there.bell.wait('agt_1', LONG_MS);
    for (const pid of before) await watcher.query('select pg_terminate_backend($1)', [pid]);
    await waiting;
    await until(async () => {
      const now = await listeners();
      return now.length === 2 && !now.some((pid) => before.includes(pid));
    });
    expect(there.errors).toHaveLength(1);
    const heard = there.bell.wait('agt_2', LONG_MS);
    here.ring('agt_2');
    await heard;
  });

  it('opens one connection, not several, after refusals while connecting', async () => {
    const cable = await Cable.open();
    cable.refuse = 4;
    const { bell: one, errors } = await bell(cable.url);
    const here = (await bell()).bell;
    await until(async () => (await listeners()).length === 2);
    const heard = one.wait('agt_1', LONG_MS);
    here.ring('agt_1');
    await heard;
    expect([errors.length, cable.arrived, cable.live]).toEqual([4, 5, 1]);
  });

  it('leaves no connection behind when it is closed while connecting', async () => {
    const cable = await Cable.open();
    const one = new Bell(cable.url, () => undefined);
    const opening = one.open();
    const waiting = one.wait('agt_1', LONG_MS);
    await one.close();
    await Promise.all([opening, waiting]);
    await until(() => cable.live === 0);
    expect(await listeners()).toEqual([]);
  });
});
