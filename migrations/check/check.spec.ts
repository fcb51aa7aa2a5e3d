import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { table } from '#platform/database';
import { testDatabase, type TestDatabase } from '#testing';
import { differences, dumpCatalogue } from './catalogue.js';
import { checkMigrations } from './check.js';
import { tableDrift } from './drift.js';
import { nameProblems } from './history.js';
import { tables, type AnyTable } from './tables.js';

const root = join(import.meta.dirname, '../..');
const committed = readFileSync(join(root, 'migrations/catalogue.txt'), 'utf8').trimEnd().split('\n');

let db: TestDatabase;
let owner: Client;
beforeAll(async () => {
  db = await testDatabase();
  owner = new Client({ connectionString: db.ownerUrl });
  await owner.connect();
});
afterAll(async () => {
  await owner.end();
  await db.close();
});

/** What a look at the database says after these statements; they are rolled back. */
async function after<T>(statements: string, look: () => Promise<T>): Promise<T> {
  await owner.query('begin');
  try {
    await owner.query(statements);
    return await look();
  } finally {
    await owner.query('rollback');
  }
}

describe('the table definitions', () => {
  it('are all known to the check', () => {
    const inSources = readdirSync(join(root, 'libs'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !/\.(spec|contract)\.ts$/.test(path))
      .flatMap((path) => [...readFileSync(join(root, 'libs', path), 'utf8').matchAll(/= table<\w+>\(\s*'(\w+)'/g)])
      .map(([, name]) => name);
    expect(inSources.length).toBeGreaterThan(20);
    expect(tables.map((t) => t.name)).toEqual(inSources.sort());
  });

  it('are what the migrations make', async () => {
    expect(await tableDrift(owner, tables)).toEqual([]);
  });

  it.each([
    ['alter table outbox add column extra text', ['outbox.extra is in the database and not defined']],
    [
      "alter table outbox add column extra text not null default ''; alter table outbox alter extra drop default",
      ['outbox.extra is in the database and not defined, and needs a value'],
    ],
    ['alter table outbox drop column topic', ['outbox.topic is defined and not in the database']],
    ['alter table outbox alter attempts type numeric', ['outbox.attempts is numeric, which no int can be']],
    [
      'alter table holds alter amount_nano type numeric(20, 4)',
      ['holds.amount_nano is numeric(20,4), which no bigint can be'],
    ],
    ['alter table outbox drop constraint outbox_pkey', ['outbox has the primary key (none), defined is (id)']],
    ['alter table agents drop constraint agents_token_hash_key', ['agents does not hold (token_hash) unique']],
    ['alter table outbox add unique (topic)', ['outbox holds (topic) unique and its definition does not say so']],
    ['create table stray (id text)', ['stray is in the database and has no definition']],
    ['drop table outbox', ['outbox is defined and not in the database']],
  ])('are told apart from the database after: %s', async (statements, wrong) => {
    expect(await after(statements, () => tableDrift(owner, tables))).toEqual(wrong);
  });

  it('are told to name only columns that they have', async () => {
    const slip = table<{ id: string }>('outbox', { id: 'text' }, { key: ['nobody' as 'id'] }) as AnyTable;
    const others = tables.filter((t) => t.name !== 'outbox');
    expect(await tableDrift(owner, [...others, slip])).toContain('outbox: the key names nobody, which is no column');
  });
});

describe('the catalogue', () => {
  it('is committed as the migrations make it', async () => {
    expect(differences(committed, await dumpCatalogue(owner))).toEqual([]);
  });

  it.each([
    ['a policy', 'alter policy tenant on holds using (true)', /^[-+] table holds policy tenant: /],
    ['forced row security', 'alter table holds no force row level security', /^[-+] table holds: owned by owner/],
    ['a grant', 'grant update on ledger_entries to berth_worker', /^[-+] table ledger_entries grant berth_worker: /],
    [
      'a grant on a column',
      'grant update (balance_nano) on ledger_accounts to berth_app',
      /^\+ table ledger_accounts column balance_nano grant berth_app: UPDATE$/,
    ],
    ['a trigger', 'drop trigger zero_sum on ledger_entries', /^- table ledger_entries (trigger|constraint) zero_sum: /],
    ['a switched-off trigger', 'alter table ledger_entries disable trigger append_only', /DISABLED$|^- table/],
    [
      'the body of a function',
      "create or replace function berth_refuse_change() returns trigger language plpgsql as 'begin return null; end'",
      /^[-+] function berth_refuse_change\(\) line /,
    ],
    ['a check', 'alter table holds drop constraint holds_remaining_nano_check', /^- table holds constraint holds_rem/],
    ['an index', 'drop index outbox_next_at_idx', /^- table outbox index outbox_next_at_idx: /],
    [
      'a default',
      'alter table outbox alter attempts set default 7',
      /^[-+] table outbox column attempts: .*default [07]$/,
    ],
    ['nullability', 'alter table outbox alter topic drop not null', /^[-+] table outbox column topic: text/],
    ['a view', 'create view v as select 1 as one', /^\+ (view v|table v column one)/],
    ['a schema', 'create schema other', /^\+ schema other: owned by owner$/],
    ['a type', "create type mood as enum ('sad', 'ok')", /^\+ type mood: enum of sad, ok$/],
  ])('shows a change of %s', async (_what, statement, line) => {
    const shown = await after(statement, async () => differences(committed, await dumpCatalogue(owner)));
    expect(shown.length).toBeGreaterThan(0);
    for (const one of shown) expect(one).toMatch(line);
  });

  it('puts the old and the new of one thing under each other', () => {
    expect(differences(['a: 1', 'b: 1', 'c: 1'], ['a: 2', 'c: 1', 'd: 1'])).toEqual([
      '- a: 1',
      '+ a: 2',
      '- b: 1',
      '+ d: 1',
    ]);
  });
});

describe('the migrations', () => {
  it('go up, down and up again, and leave nothing', async () => {
    const own = await testDatabase();
    try {
      const { catalogue, problems } = await checkMigrations(own.ownerUrl, own.secret, committed);
      expect(problems).toEqual([]);
      expect(catalogue).toEqual(committed);
    } finally {
      await own.close();
    }
  });

  it.each([
    [['AddOne1763700000000', 'AddTwo1763700000001'], []],
    [['AddOne176370000000'], ['AddOne176370000000 does not end in a 13-digit timestamp']],
    [['AddOne17637000000000'], ['AddOne17637000000000 does not end in a 13-digit timestamp']],
    [
      ['AddTwo1763700000001', 'AddOne1763700000000'],
      ['AddOne1763700000000 does not come after the migration before it'],
    ],
    [
      ['AddOne1763700000000', 'AddTwo1763700000000'],
      ['AddTwo1763700000000 does not come after the migration before it'],
    ],
  ])('are named so that they run in the order of the list: %j', (names, wrong) => {
    expect(nameProblems(names)).toEqual(wrong);
  });
});
