import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { databaseRoles } from '#platform/database';
import { testDatabase, type TestDatabase } from './index.js';

let first: TestDatabase;
let second: TestDatabase;

beforeAll(async () => {
  [first, second] = await Promise.all([testDatabase(), testDatabase()]);
});
afterAll(async () => {
  await Promise.all([first.close(), second.close()]);
});

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('the database of a spec file', () => {
  it('is migrated', async () => {
    const rows = await query(first.ownerUrl, 'SELECT count(*)::int AS n FROM berth_migrations');
    expect(rows[0]?.['n']).toBeGreaterThan(0);
  });

  it('is nobody else’s', async () => {
    await query(first.ownerUrl, 'CREATE TABLE only_here (n int)');
    expect(await query(second.ownerUrl, "SELECT to_regclass('only_here') AS found")).toEqual([{ found: null }]);
  });

  it('lets every process role in, and none of them is the owner', async () => {
    for (const role of databaseRoles) {
      const rows = await query(first.urlFor(role), 'SELECT current_user, current_setting($$is_superuser$$) AS super');
      expect(rows).toEqual([{ current_user: role, super: 'off' }]);
    }
  });

  it('is gone after close, with its connections', async () => {
    const third = await testDatabase();
    const left = new pg.Client({ connectionString: third.ownerUrl });
    const ended = new Promise((resolve) => left.on('error', resolve));
    await left.connect();
    await third.close();
    expect(await ended).toMatchObject({ code: '57P01' });
    await expect(query(third.ownerUrl, 'SELECT 1')).rejects.toThrow(/does not exist/);
  });
});
