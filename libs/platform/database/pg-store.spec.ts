import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { patient, testDatabase, type TestDatabase } from '#testing';
import { openStore, type OpenStore } from './open.js';
import type { PgStore } from './pg-store.js';
import { sql } from './sql.js';
import { describeStoreContract, things, THINGS_SQL } from './store.contract.js';
import { UniqueViolation, WORKER, type Procedure } from './table.js';

let db: TestDatabase;
let open: OpenStore;
let owner: Client;
let close: () => Promise<void>;
const afterCommitErrors: unknown[] = [];

beforeAll(async () => {
  db = await testDatabase();
  owner = new Client({ connectionString: db.ownerUrl });
  await owner.connect();
  await owner.query(
    `${THINGS_SQL}; grant select, insert, update, delete on contract_things, contract_marks to berth_worker`,
  );
  open = await openStore(db.ownerUrl, db.secret, {
    poolSize: 8,
    name: 'spec',
    ...patient,
    onAfterCommitError: (error) => afterCommitErrors.push(error),
  });
  close = async () => {
    await open.close();
    await owner.end();
    await db.close();
  };
});
afterAll(async () => close());

describeStoreContract('PostgreSQL', async () => open.store);

/** Opens when `n` have arrived: brings transactions to the same point at the same time. */
function meeting(n: number): () => Promise<void> {
  let arrived = 0;
  let all = (): void => undefined;
  const met = new Promise<void>((resolve) => (all = resolve));
  return () => {
    if (++arrived >= n) all();
    return met;
  };
}

describe('transactions on PostgreSQL', () => {
  const store = (): PgStore => open.store;
  const put = (id: string): Promise<void> =>
    store().transaction(WORKER, (tx) =>
      tx.insert(things, { id, scope: null, n: 0, money: 0n, at: null, body: {}, tags: [] }),
    );
  const nOf = async (id: string): Promise<number | undefined> =>
    (await store().transaction(WORKER, (tx) => tx.first(things, { id })))?.n;

  it('are run again as a whole after a deadlock, and wake nobody for the run that was undone', async () => {
    await put('dead-a');
    await put('dead-b');
    const meet = meeting(2);
    const woken: string[] = [];
    const runs: string[] = [];
    const crossing = (name: string, first: string, second: string): Promise<void> =>
      store().transaction(WORKER, async (tx) => {
        runs.push(name);
        tx.afterCommit(() => void woken.push(name));
        await tx.update(things, { id: first }, { n: { add: 1 } });
        await meet();
        await tx.update(things, { id: second }, { n: { add: 1 } });
      });
    await Promise.all([crossing('x', 'dead-a', 'dead-b'), crossing('y', 'dead-b', 'dead-a')]);
    expect([await nOf('dead-a'), await nOf('dead-b')]).toEqual([2, 2]);
    // Three, or more on a busy computer, where the two may meet again.
    expect(runs.length).toBeGreaterThanOrEqual(3);
    expect(woken.sort()).toEqual(['x', 'y']);
  });

  it('are run again after a serialization failure', async () => {
    await put('serial-a');
    await put('serial-b');
    const meet = meeting(2);
    let runs = 0;
    // Write skew: each reads both rows and changes one; only one order of the two is serial.
    const skew = (id: string): Promise<void> =>
      store().transaction(WORKER, async (tx) => {
        runs++;
        await tx.query(sql`set transaction isolation level serializable`);
        const both = await tx.find(things, { id: { in: ['serial-a', 'serial-b'] } });
        await meet();
        await tx.update(things, { id }, { n: both.reduce((n, t) => n + t.n, 0) + 1 });
      });
    await Promise.all([skew('serial-a'), skew('serial-b')]);
    expect(runs).toBe(3);
    expect([await nOf('serial-a'), await nOf('serial-b')].sort()).toEqual([1, 2]);
  });

  it('are given up after five tries', async () => {
    let runs = 0;
    const failure = Object.assign(new Error('could not serialize'), { code: '40001' });
    await expect(
      store().transaction(WORKER, () => {
        runs++;
        return Promise.reject(failure);
      }),
    ).rejects.toBe(failure);
    expect(runs).toBe(5);
  });

  it('are not run again for any other failure', async () => {
    let runs = 0;
    await expect(
      store().transaction(WORKER, async (tx) => {
        runs++;
        await tx.query(sql`select 1 / 0`);
      }),
    ).rejects.toMatchObject({ code: '22012' });
    expect(runs).toBe(1);
  });

  it('name the table and the constraint of a collision, never the values', async () => {
    await put('secret-value');
    const error = await put('secret-value').catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UniqueViolation);
    expect(error).toMatchObject({ tableName: 'contract_things', columns: 'contract_things_pkey' });
    expect(String(error)).not.toContain('secret-value');
  });

  it('tell of a failing wake-up and keep the commit, without running the work again', async () => {
    afterCommitErrors.length = 0;
    const failure = Object.assign(new Error('a deadlock of its own'), { code: '40P01' });
    let runs = 0;
    await store().transaction(WORKER, async (tx) => {
      runs++;
      tx.afterCommit(() => Promise.reject(failure));
      await tx.query(sql`select 1`);
    });
    expect([runs, afterCommitErrors]).toEqual([1, [failure]]);
  });

  it('fail when their connection dies, and the pool goes on', async () => {
    await put('survivor');
    const work = store().transaction(WORKER, async (tx) => {
      await tx.update(things, { id: 'survivor' }, { n: 9 });
      await tx.query(sql`select pg_terminate_backend(pg_backend_pid())`);
    });
    await expect(work).rejects.toThrow();
    expect(await nOf('survivor')).toBe(0);
    await Promise.all(Array.from({ length: 16 }, () => nOf('survivor')));
  });

  it('of a process that is frozen in the middle are undone, hold nobody up, and are run again', async () => {
    await put('held');
    const slow = await openStore(db.ownerUrl, db.secret, { poolSize: 1, name: 'frozen', idleInTransactionMs: 200 });
    try {
      let thaw = (): void => undefined;
      const frozen = new Promise<void>((resolve) => (thaw = resolve));
      let locked = (): void => undefined;
      const holding = new Promise<void>((resolve) => (locked = resolve));
      const seen: number[] = [];
      const first = slow.store.transaction(WORKER, async (tx) => {
        const [row] = await tx.update(things, { id: 'held' }, { n: { add: 10 } });
        seen.push(row?.n ?? -1);
        locked();
        await frozen;
        await tx.update(things, { id: 'held' }, { n: { add: 100 } });
      });
      await holding;
      await store().transaction(WORKER, (tx) => tx.update(things, { id: 'held' }, { n: { add: 1 } }));
      thaw();
      await first;
      // More than twice on a machine that itself stood still.
      expect([seen[0], new Set(seen.slice(1))]).toEqual([10, new Set([11])]);
      expect(await nOf('held')).toBe(111);
    } finally {
      await slow.close();
    }
  });

  it('are run again also when the frozen process speaks before it listens', async () => {
    await put('deaf');
    const slow = await openStore(db.ownerUrl, db.secret, { poolSize: 1, name: 'deaf', idleInTransactionMs: 200 });
    try {
      let runs = 0;
      await slow.store.transaction(WORKER, async (tx) => {
        await tx.update(things, { id: 'deaf' }, { n: { add: 1 } });
        if (++runs > 1) return;
        // The thread stands still, so nothing that the server says is heard, and the next statement goes out first.
        for (let ms = 500; ; ms *= 2) {
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
          await tx.update(things, { id: 'deaf' }, { n: { add: 1 } });
        }
      });
      expect([runs > 1, await nOf('deaf')]).toEqual([true, 1]);
    } finally {
      await slow.close();
    }
  });

  it('are not run again when their connection dies for another reason', async () => {
    let runs = 0;
    const work = store().transaction(WORKER, async (tx) => {
      runs++;
      const [me] = await tx.query<{ pid: number }>(sql`select pg_backend_pid() as pid`);
      await owner.query('select pg_terminate_backend($1, 10000)', [me?.pid]);
      await tx.query(sql`select 1`);
    });
    await expect(work).rejects.toThrow();
    expect(runs).toBe(1);
  });

  it('of one call alone belong to their tenant, and leave nothing of it on the connection', async () => {
    await owner.query(`create function contract_who(p_n bigint, p_at timestamptz, p_tags text[], p_money numeric, p_body jsonb, p_nothing text)
      returns table (n bigint, at timestamptz, tags text[], money numeric, body jsonb, nothing text, who text) language plpgsql volatile as $$ begin
      return query select p_n, p_at, p_tags, p_money, p_body, p_nothing,
        concat_ws('/', current_setting('berth.organization', true), current_setting('berth.projects', true), current_user); end $$`);
    type Given = { n: number; at: number; tags: string[]; money: bigint; body: unknown; nothing: string | null };
    const args = { n: 'int', at: 'time', tags: 'texts', money: 'bigint', body: 'json', nothing: 'text' } as const;
    const inMemory = () => Promise.reject(new Error('on PostgreSQL'));
    const who: Procedure<Given, Given & { who: string }> = {
      name: 'contract_who',
      args,
      result: { ...args, who: 'text' },
      inMemory,
    };
    const given: Given = { n: 4, at: 1_763_700_000_123, tags: ['x'], money: 5n, body: { a: [1] }, nothing: null };
    const one = await openStore(db.ownerUrl, db.secret, { poolSize: 1, name: 'spec', ...patient });
    try {
      for (const organizationId of ['org_a', 'org_b']) {
        const actor = { as: 'tenant', organizationId, projectIds: ['p', 'q'] } as const;
        const expected = { ...given, who: `${organizationId}/p,q/berth_app` };
        expect(await one.store.callAlone(actor, who, given)).toEqual(expected);
      }
      const bare = { as: 'tenant', organizationId: '', projectIds: [] } as const;
      expect((await one.store.callAlone(bare, who, given)).who).toBe('//berth_app');
      expect((await one.store.callAlone(WORKER, who, given)).who).toContain('berth_worker');
    } finally {
      await one.close();
    }
  });

  it('see one time, the database’s, from their start on', async () => {
    const [first, later] = await store().transaction(WORKER, async (tx) => {
      const at = await tx.now();
      await tx.query(sql`select pg_sleep(0.01)`);
      return [at, await tx.now()];
    });
    expect(later).toBe(first);
    const { rows } = await owner.query<{ ms: string }>('select (extract(epoch from now()) * 1000)::bigint::text as ms');
    expect(Number(rows[0]?.ms)).toBeGreaterThanOrEqual(first ?? Infinity);
  });

  it('refuse to change or remove every row, and columns that are not there', async () => {
    const tries = [
      () => store().transaction(WORKER, (tx) => tx.update(things, {}, { n: 1 })),
      () => store().transaction(WORKER, (tx) => tx.remove(things, {})),
      () => store().transaction(WORKER, (tx) => tx.find(things, { 'id" or true --': 'x' } as never)),
    ];
    for (const attempt of tries) await expect(attempt()).rejects.toBeInstanceOf(TypeError);
  });
});
