import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { removeEmbedded, startEmbedded, statusEmbedded, stopEmbedded } from './index.js';

const asRoot = process.getuid?.() === 0;

let root = '';
const homes: string[] = [];

/** A home below a folder of the given mode; all are removed with their servers at the end. */
function newHome(name: string, parentMode = 0o755): string {
  const parent = join(root, `${name}-parent`);
  mkdirSync(parent);
  chmodSync(parent, parentMode);
  const home = join(parent, 'home');
  homes.push(home);
  return home;
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

function listenOn(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'berth-embedded-'));
  chmodSync(root, 0o755);
});

afterAll(async () => {
  for (const home of homes) await removeEmbedded({ home });
  rmSync(root, { recursive: true, force: true });
});

describe('the built-in PostgreSQL', () => {
  it('starts once for two callers, is adopted, survives kill -9, stops and keeps its data', async () => {
    const home = newHome('life');
    expect(statusEmbedded({ home })).toEqual({ state: 'absent' });

    const both = await Promise.all([startEmbedded({ home }), startEmbedded({ home })]);
    expect(both.map((run) => run.adopted).sort()).toEqual([false, true]);
    expect(new Set(both.map((run) => run.port)).size).toBe(1);
    const { ownerUrl, port, dataDir } = both[0];
    expect(statSync(join(home, 'postgres.json')).mode & 0o777).toBe(0o600);
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(
      await query(
        ownerUrl,
        'SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user',
      ),
    ).toEqual([{ rolsuper: false, rolbypassrls: false, rolcreaterole: true, rolcreatedb: false }]);
    await query(ownerUrl, 'CREATE EXTENSION btree_gist');
    await query(ownerUrl, 'CREATE TABLE kept (n int)');
    await query(ownerUrl, 'INSERT INTO kept VALUES (42)');

    const status = statusEmbedded({ home });
    if (status.state !== 'running') throw new Error('not running');
    expect(status.port).toBe(port);
    process.kill(status.pid, 'SIGKILL');

    const revived = await startEmbedded({ home });
    // Not always on the port it had: a child of the killed server may hold that a moment longer.
    expect(revived).toMatchObject({ adopted: false, recovered: true });
    expect(await query(revived.ownerUrl, 'SELECT n FROM kept')).toEqual([{ n: 42 }]);

    expect(await stopEmbedded({ home })).toEqual({ stopped: true });
    expect(await stopEmbedded({ home })).toEqual({ stopped: false });
    expect(statusEmbedded({ home })).toMatchObject({ state: 'stopped' });

    const intruder = await listenOn(revived.port);
    try {
      const moved = await startEmbedded({ home });
      expect(moved).toMatchObject({ adopted: false, recovered: false });
      expect(moved.port).not.toBe(revived.port);
      expect(await query(moved.ownerUrl, 'SELECT n FROM kept')).toEqual([{ n: 42 }]);
    } finally {
      intruder.close();
    }
  });

  it('starts past the trace of a dead server whose number now belongs to another process', async () => {
    const home = newHome('reused');
    const first = await startEmbedded({ home, fsync: false });
    await stopEmbedded({ home });
    writeFileSync(join(first.dataDir, 'postmaster.pid'), `${process.pid}\n${first.dataDir}\n1\n${first.port}\n`);
    expect(statusEmbedded({ home })).toMatchObject({ state: 'stopped' });
    expect(await startEmbedded({ home, fsync: false })).toMatchObject({ adopted: false, recovered: true });
  });

  it('says that the home cannot be made', async () => {
    const home = join(newHome('blocked'), '..', 'file', 'home');
    writeFileSync(join(home, '..'), '');
    await expect(startEmbedded({ home })).rejects.toThrow(/The Berth home .* cannot be made .*(ENOTDIR|EEXIST)/);
  });

  it('says what failed and where the log is', async () => {
    const home = newHome('broken');
    const { dataDir } = await startEmbedded({ home, fsync: false });
    await stopEmbedded({ home });
    appendFileSync(join(dataDir, 'postgresql.conf'), 'shared_buffers = many\n');
    const log = join(realpathSync(home), 'postgres.log');
    await expect(startEmbedded({ home, fsync: false })).rejects.toThrow(
      /failed \(pg_ctl.*\): configuration file .* contains errors. Its log is .*postgres\.log\./,
    );
    expect(readFileSync(log, 'utf8')).toContain('invalid value for parameter');
  });

  (asRoot ? it : it.skip)('keeps the data outside a home that its account cannot enter', async () => {
    const home = newHome('closed', 0o700);
    const said: string[] = [];
    const run = await startEmbedded({ home, fsync: false, log: (line) => said.push(line) });
    expect(run.dataDir.startsWith(root)).toBe(false);
    expect(said.join('\n')).toContain(dirname(run.dataDir));
    expect(said.join('\n')).toContain(`${root}/closed-parent`);
    expect(statSync(dirname(run.dataDir)).mode & 0o777).toBe(0o711);
    expect(statSync(run.dataDir).uid).not.toBe(0);
    await query(run.ownerUrl, 'CREATE TABLE mine (n int)');

    // A home that is deleted to start afresh must not be haunted by the server and data that lay elsewhere.
    rmSync(home, { recursive: true });
    const fresh = await startEmbedded({ home, fsync: false });
    expect(fresh.adopted).toBe(false);
    expect(await query(fresh.ownerUrl, "SELECT to_regclass('mine') AS found")).toEqual([{ found: null }]);
    await removeEmbedded({ home });
    expect(existsSync(dirname(run.dataDir))).toBe(false);
  });
});
