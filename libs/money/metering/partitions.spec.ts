import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HOUR, newId } from '#kernel';
import { PgTx, sql } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { keepPartitions, monthStart, usageRecords, usageRow } from './index.js';

describe('partitions of usage', () => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    const postgres = specStores.find((s) => s.name === 'PostgreSQL');
    if (!postgres) throw new Error('no PostgreSQL');
    opened = await postgres.open();
    till = await openTill(opened);
  });
  afterAll(async () => opened.close());

  const ask = async (statement: string): Promise<unknown[]> =>
    (await opened.postgres?.owner.query<Record<string, unknown>>(statement))?.rows ?? [];
  const record = async (fromAt: number): Promise<void> => {
    const tenant = await till.tenant('0');
    const id = newId('usage');
    const row = usageRow({
      id,
      key: id,
      ...tenant,
      meter: 'requests',
      side: 'charge',
      resource: 'spec',
      fromAt,
      toAt: fromAt + 1,
      quantity: 1n,
      unitPriceNano: 0n,
      amountNano: 0n,
      createdAt: fromAt,
    });
    await till.tx((tx) => tx.insert(usageRecords, row));
  };

  /** Partitions with records in them, as the worker's role sees them through the table in front. */
  const seen = (): Promise<string[]> =>
    till.tx(async (tx) => {
      if (!(tx instanceof PgTx)) throw new TypeError('not PostgreSQL');
      const rows = await tx.query<{ part: string }>(
        sql`select distinct n.nspname || '.' || c.relname as part from usage_records u
            join pg_class c on c.oid = u.tableoid join pg_namespace n on n.oid = c.relnamespace order by 1`,
      );
      return rows.map((r) => r.part);
    });

  it('are there for the last two months, this one and the next three', async () => {
    const alarms: string[] = [];
    const name = `'partitions.usage_records_' || to_char(now() at time zone 'utc' + interval '3 months', 'YYYY_MM')`;
    expect(await ask(`select to_regclass(${name}) is not null as there`)).toEqual([{ there: true }]);
    expect(
      await ask(
        `select count(*)::int as n from pg_class where relnamespace = 'partitions'::regnamespace and relkind = 'r' and relname like 'usage_records%'`,
      ),
    ).toEqual([{ n: 7 }]);
    await opened.postgres?.owner.query(`do $$ begin execute 'drop table ' || ${name}; end $$`);
    expect(await keepPartitions(opened.store, (m) => alarms.push(m))).toBe(1);
    expect(await keepPartitions(opened.store, (m) => alarms.push(m))).toBe(0);
    expect(alarms).toEqual([]);
  });

  it('keep a record at the end of a month apart from one at the start of the next', async () => {
    const month = monthStart(opened.clock.now());
    await record(month - 1);
    await record(month);
    const parts = await seen();
    expect(parts).toHaveLength(2);
  });

  it('tell of records outside all months, which are kept and counted as any', async () => {
    const alarms: string[] = [];
    await record(Date.UTC(2019, 0, 1) + HOUR);
    await keepPartitions(opened.store, (m) => alarms.push(m));
    expect(alarms).toEqual(["1 usage records lie in no month's partition"]);
    expect(await seen()).toContain('partitions.usage_records_rest');
  });

  it('cannot be reached but through the table in front', async () => {
    const grants = await ask(
      `select has_schema_privilege('berth_app', 'partitions', 'usage') or has_schema_privilege('berth_worker', 'partitions', 'usage') as open`,
    );
    expect(grants).toEqual([{ open: false }]);
  });
});
