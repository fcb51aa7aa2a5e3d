import { beforeAll, describe, expect, it } from '@jest/globals';
import { callAlone } from './call-alone.js';
import { batch, table, UniqueViolation, WORKER, type Procedure, type Store, type Tx } from './table.js';

interface ThingRow {
  id: string;
  scope: string | null;
  n: number;
  money: bigint;
  at: number | null;
  body: unknown;
  tags: string[];
}

/** The scratch table that both stores are held to; the PostgreSQL spec creates it. */
export const things = table<ThingRow>(
  'contract_things',
  { id: 'text', scope: 'text', n: 'int', money: 'bigint', at: 'time', body: 'json', tags: 'texts' },
  { key: ['id'], unique: [['scope', 'n']] },
);

interface MarkRow {
  thingId: string;
  text: string;
}

/** Hangs on `things` by a foreign key. */
const marks = table<MarkRow>('contract_marks', { thingId: 'text', text: 'text' }, { key: ['thingId'] });

/** Every kind of column as argument and as answer; adds what it was given to a thing. */
const addToThing: Procedure<
  { id: string; n: number; money: bigint; at: number; body: unknown; tags: string[]; flag: boolean },
  { found: boolean; money: bigint | null; at: number | null; body: unknown; tags: string[] | null }
> = {
  name: 'contract_add',
  args: { id: 'text', n: 'int', money: 'bigint', at: 'time', body: 'json', tags: 'texts', flag: 'bool' },
  result: { found: 'bool', money: 'bigint', at: 'time', body: 'json', tags: 'texts' },
  inMemory: async (tx, { id, n, money, at, body, tags, flag }) => {
    const [row] = flag
      ? await tx.update(things, { id }, { n: { add: n }, money: { add: money }, at, body, tags })
      : await tx.find(things, { id });
    return {
      found: row !== undefined,
      money: row?.money ?? null,
      at: row?.at ?? null,
      body: row?.body ?? null,
      tags: row?.tags ?? null,
    };
  },
};

export const THINGS_SQL = `create table contract_things (id text primary key, scope text, n bigint not null, money numeric(38,0) not null,
  at timestamptz, body jsonb not null, tags text[] not null, unique (scope, n));
create table contract_marks (thing_id text primary key references contract_things (id), text text not null);
create function contract_add(p_id text, p_n bigint, p_money numeric, p_at timestamptz, p_body jsonb, p_tags text[], p_flag boolean)
returns table (found boolean, money numeric, at timestamptz, body jsonb, tags text[]) language plpgsql as $$
declare t contract_things;
begin
  if p_flag then
    update contract_things set n = contract_things.n + p_n, money = contract_things.money + p_money, at = p_at, body = p_body, tags = p_tags
      where id = p_id returning * into t;
  else
    select * into t from contract_things where id = p_id;
  end if;
  return query select t.id is not null, t.money, t.at, t.body, t.tags;
end $$`;

const thing = (id: string, patch: Partial<ThingRow> = {}): ThingRow => ({
  id,
  scope: null,
  n: 0,
  money: 0n,
  at: null,
  body: {},
  tags: [],
  ...patch,
});

/** What every Store must do; the simulator's store and PostgreSQL both pass, so the twin cannot drift. */
export function describeStoreContract(name: string, open: () => Promise<Store>): void {
  describe(`store contract: ${name}`, () => {
    let store: Store;
    beforeAll(async () => {
      store = await open();
    });
    const fresh = (() => {
      let k = 0;
      return () => `t${k++}-`;
    })();

    it('gives back every kind of column as it went in', async () => {
      const id = fresh();
      const row = thing(id, {
        n: 7,
        money: 98_765_432_109_876_543_210n,
        at: 1_763_700_000_123,
        body: { a: [1, 'x', null] },
        tags: ['a', 'b,c'],
      });
      await store.transaction(WORKER, (tx) => tx.insert(things, row));
      expect(await store.transaction(WORKER, (tx) => tx.first(things, { id }))).toEqual(row);
    });

    it('stores bigint inside JSON as text', async () => {
      const id = fresh();
      await store.transaction(WORKER, (tx) => tx.insert(things, thing(id, { body: { price: 5n } })));
      expect((await store.transaction(WORKER, (tx) => tx.first(things, { id })))?.body).toEqual({ price: '5' });
      await store.transaction(WORKER, (tx) => tx.update(things, { id }, { body: { price: 6n } }));
      expect((await store.transaction(WORKER, (tx) => tx.first(things, { id })))?.body).toEqual({ price: '6' });
    });

    it('rolls everything back when the work throws', async () => {
      const id = fresh();
      await store.transaction(WORKER, (tx) => tx.insert(things, thing(id, { n: 1 })));
      const woken: string[] = [];
      await expect(
        store.transaction(WORKER, async (tx) => {
          tx.afterCommit(() => void woken.push('never'));
          await tx.update(things, { id }, { n: 2 });
          await tx.insert(things, thing(`${id}b`));
          await tx.remove(things, { id });
          throw new Error('on purpose');
        }),
      ).rejects.toThrow('on purpose');
      const rows = await store.transaction(WORKER, (tx) => tx.find(things, { id: { in: [id, `${id}b`] } }));
      expect(rows.map((r) => [r.id, r.n])).toEqual([[id, 1]]);
      expect(woken).toEqual([]);
    });

    it('runs afterCommit in order and only after the commit', async () => {
      const id = fresh();
      const seen: (string | null)[] = [];
      await store.transaction(WORKER, async (tx) => {
        tx.afterCommit(
          async () => void seen.push((await store.transaction(WORKER, (t) => t.first(things, { id })))?.id ?? null),
        );
        tx.afterCommit(() => void seen.push('second'));
        await tx.insert(things, thing(id));
      });
      expect(seen).toEqual([id, 'second']);
    });

    it('keeps what is committed when an afterCommit fails, and runs the next', async () => {
      const id = fresh();
      const seen: string[] = [];
      const result = await store.transaction(WORKER, async (tx) => {
        tx.afterCommit(() => Promise.reject(new Error('nobody there')));
        tx.afterCommit(() => {
          throw Object.assign(new Error('a deadlock of its own'), { code: '40P01' });
        });
        tx.afterCommit(() => void seen.push('third'));
        await tx.insert(things, thing(id));
        return 'kept';
      });
      expect([result, seen]).toEqual(['kept', ['third']]);
      expect(await store.transaction(WORKER, (tx) => tx.first(things, { id }))).not.toBeNull();
    });

    it('commits nothing of a transaction in which a statement failed, even when the work swallows the error', async () => {
      const id = fresh();
      await store.transaction(WORKER, (tx) => tx.insert(things, thing(id)));
      const woken: string[] = [];
      const swallowed = store.transaction(WORKER, async (tx) => {
        tx.afterCommit(() => void woken.push('never'));
        await tx.insert(things, thing(`${id}b`));
        await tx.insert(things, thing(id)).catch(() => undefined);
        return 'all is well';
      });
      await expect(swallowed).rejects.toBeInstanceOf(UniqueViolation);
      await expect(
        store.transaction(WORKER, async (tx) => {
          await tx.insert(things, thing(id)).catch(() => undefined);
          await tx.insert(things, thing(`${id}c`));
        }),
      ).rejects.toBeInstanceOf(Error);
      const rows = await store.transaction(WORKER, (tx) => tx.find(things, { id: { in: [`${id}b`, `${id}c`] } }));
      expect([rows, woken]).toEqual([[], []]);
    });

    it('refuses to work on after the end of the transaction', async () => {
      const id = fresh();
      let escaped: Tx | undefined;
      await store.transaction(WORKER, async (tx) => {
        escaped = tx;
        await tx.insert(things, thing(id));
      });
      await expect(escaped?.insert(things, thing(`${id}b`))).rejects.toBeInstanceOf(Error);
      expect(await store.transaction(WORKER, (tx) => tx.first(things, { id: `${id}b` }))).toBeNull();
    });

    it('refuses a second row with the same key or unique set, and lets nulls be', async () => {
      const id = fresh();
      await store.transaction(WORKER, (tx) => tx.insert(things, thing(id, { scope: id, n: 1 })));
      await expect(store.transaction(WORKER, (tx) => tx.insert(things, thing(id)))).rejects.toBeInstanceOf(
        UniqueViolation,
      );
      await expect(
        store.transaction(WORKER, (tx) => tx.insert(things, thing(`${id}b`, { scope: id, n: 1 }))),
      ).rejects.toBeInstanceOf(UniqueViolation);
      await store.transaction(WORKER, (tx) =>
        tx.insert(things, [thing(`${id}c`, { n: 1 }), thing(`${id}d`, { n: 1 })]),
      );
      const added = await store.transaction(WORKER, (tx) =>
        tx.insertNew(things, [thing(id), thing(`${id}e`), thing(`${id}f`, { scope: id, n: 1 })]),
      );
      expect(added.map((r) => r.id)).toEqual([`${id}e`]);
    });

    it('changes a row only while the condition holds, and says which rows changed', async () => {
      const id = fresh();
      await store.transaction(WORKER, (tx) => tx.insert(things, thing(id, { n: 3, money: 100n })));
      const won = await store.transaction(WORKER, (tx) =>
        tx.update(things, { id, n: 3 }, { n: 4, money: { add: -30n } }),
      );
      const lost = await store.transaction(WORKER, (tx) => tx.update(things, { id, n: 3 }, { n: 5 }));
      const tooMuch = await store.transaction(WORKER, (tx) =>
        tx.update(things, { id, money: { gte: 71n } }, { money: { add: -71n } }),
      );
      expect([won.map((r) => [r.n, r.money]), lost, tooMuch]).toEqual([[[4, 70n]], [], []]);
    });

    it('never oversells under concurrent conditional updates', async () => {
      const id = fresh();
      await store.transaction(WORKER, (tx) => tx.insert(things, thing(id, { money: 10n })));
      const takes = await Promise.all(
        Array.from({ length: 25 }, () =>
          store.transaction(WORKER, (tx) =>
            tx.update(things, { id, money: { gte: 1n } }, { money: { add: -1n }, n: { add: 1 } }),
          ),
        ),
      );
      const row = await store.transaction(WORKER, (tx) => tx.first(things, { id }));
      expect([takes.filter((t) => t.length === 1).length, row?.money, row?.n]).toEqual([10, 0n, 10]);
    });

    it('finds by every operator', async () => {
      const p = fresh();
      await store.transaction(WORKER, (tx) =>
        tx.insert(
          things,
          [1, 2, 3, 4].map((n) => thing(`${p}${n}`, { scope: p, n, at: n === 4 ? null : n * 1_000 })),
        ),
      );
      const ids = async (where: object): Promise<number[]> =>
        (
          await store.transaction(WORKER, (tx) => tx.find(things, { scope: p, ...where }, { orderBy: [['n', 'asc']] }))
        ).map((r) => r.n);
      expect(await ids({ n: { lt: 3 } })).toEqual([1, 2]);
      expect(await ids({ n: { lte: 3 } })).toEqual([1, 2, 3]);
      expect(await ids({ n: { gt: 3 } })).toEqual([4]);
      expect(await ids({ n: { gte: 3 } })).toEqual([3, 4]);
      expect(await ids({ n: { not: 2 } })).toEqual([1, 3, 4]);
      expect(await ids({ n: { in: [2, 4, 9] } })).toEqual([2, 4]);
      expect(await ids({ at: { isNull: true } })).toEqual([4]);
      expect(await ids({ at: { isNull: false } })).toEqual([1, 2, 3]);
      expect(await ids({ at: { lte: 2_000 } })).toEqual([1, 2]);
      await expect(ids({ n: null })).rejects.toBeInstanceOf(TypeError);
    });

    it('pages by keyset in both directions without gap or repeat', async () => {
      const p = fresh();
      await store.transaction(WORKER, (tx) =>
        tx.insert(
          things,
          [1, 2, 3, 4, 5].map((n) => thing(`${p}${n}`, { scope: p, n, money: BigInt(n % 2) })),
        ),
      );
      for (const direction of ['asc', 'desc'] as const) {
        const got: string[] = [];
        let after: readonly unknown[] | undefined;
        for (;;) {
          const page = await store.transaction(WORKER, (tx) =>
            tx.find(
              things,
              { scope: p },
              {
                orderBy: [
                  ['money', direction],
                  ['id', direction],
                ],
                limit: 2,
                ...(after ? { after } : {}),
              },
            ),
          );
          const last = page.at(-1);
          if (!last) break;
          got.push(...page.map((r) => r.id));
          after = [last.money, last.id];
        }
        const wanted = ['2', '4', '1', '3', '5'].map((n) => `${p}${n}`);
        expect(got).toEqual(direction === 'asc' ? wanted : wanted.toReversed());
      }
    });

    it('upserts whole rows and removes by condition', async () => {
      const id = fresh();
      await store.transaction(WORKER, (tx) => tx.upsert(things, [thing(id, { n: 1, tags: ['x'] })]));
      await store.transaction(WORKER, (tx) => tx.upsert(things, [thing(id, { n: 2 })]));
      const row = await store.transaction(WORKER, (tx) => tx.first(things, { id }));
      expect([row?.n, row?.tags]).toEqual([2, []]);
      expect(await store.transaction(WORKER, (tx) => tx.remove(things, { id, n: 1 }))).toBe(0);
      expect(await store.transaction(WORKER, (tx) => tx.remove(things, { id }))).toBe(1);
    });

    it('puts rows of several tables in at once, whatever hangs on what, or none of them', async () => {
      const id = fresh();
      await store.transaction(WORKER, (tx) =>
        tx.insertAll([
          batch(marks, { thingId: id, text: 'a' }),
          batch(things, [thing(id), thing(`${id}2`)]),
          batch(marks, []),
        ]),
      );
      expect(await store.transaction(WORKER, (tx) => tx.first(marks, { thingId: id }))).toEqual({
        thingId: id,
        text: 'a',
      });
      await expect(
        store.transaction(WORKER, (tx) =>
          tx.insertAll([batch(things, thing(`${id}3`)), batch(marks, { thingId: id, text: 'again' })]),
        ),
      ).rejects.toBeInstanceOf(UniqueViolation);
      expect(await store.transaction(WORKER, (tx) => tx.first(things, { id: `${id}3` }))).toBeNull();
    });

    it('puts rows in with a guarded change, and only when the guard held', async () => {
      const id = fresh();
      const other = thing(`${id}-also`, { scope: id, money: 5n, at: 1_000, body: { k: 'v' }, tags: ['t'] });
      await store.transaction(WORKER, (tx) => tx.insert(things, thing(id, { n: 1 })));
      const change = (n: number) =>
        store.transaction(WORKER, (tx) => tx.update(things, { id, n }, { n: { add: 1 } }, batch(things, other)));
      expect(await change(9)).toEqual([]);
      expect(await store.transaction(WORKER, (tx) => tx.first(things, { id: other.id }))).toBeNull();
      expect(await change(1)).toEqual([thing(id, { n: 2 })]);
      expect(await store.transaction(WORKER, (tx) => tx.first(things, { id: other.id }))).toEqual(other);
      // A row that cannot go in takes the change back with it.
      await expect(change(2)).rejects.toBeInstanceOf(UniqueViolation);
      expect((await store.transaction(WORKER, (tx) => tx.first(things, { id })))?.n).toBe(2);
    });

    it('calls a function with every kind of value', async () => {
      const id = fresh();
      await store.transaction(WORKER, (tx) => tx.insert(things, thing(id, { n: 1, money: 2n })));
      const args = {
        id,
        n: 4,
        money: 98_765_432_109_876_543_210n,
        at: 1_763_700_000_123,
        body: { a: [1] },
        tags: ['x'],
      };
      const call = (flag: boolean, of = id) =>
        store.transaction(WORKER, (tx) => tx.call(addToThing, { ...args, id: of, flag }));
      const changed = { found: true, money: args.money + 2n, at: args.at, body: args.body, tags: args.tags };
      expect(await call(true)).toEqual(changed);
      expect(await call(false)).toEqual(changed);
      expect(await call(true, `${id}-none`)).toEqual({ found: false, money: null, at: null, body: null, tags: null });
      expect((await store.transaction(WORKER, (tx) => tx.first(things, { id })))?.n).toBe(5);
      expect(await callAlone(store, WORKER, addToThing, { ...args, id, flag: true })).toEqual({
        ...changed,
        money: changed.money + args.money,
      });
      expect((await store.transaction(WORKER, (tx) => tx.first(things, { id })))?.n).toBe(9);
    });

    it('has one time per transaction', async () => {
      await store.transaction(WORKER, async (tx) => {
        expect(await tx.now()).toBe(await tx.now());
      });
    });
  });
}
