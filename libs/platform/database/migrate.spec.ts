import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { testDatabase, type TestDatabase } from '#testing';
import { databaseRoles, migrate, roleUrl } from './migrate.js';

let two: [TestDatabase, TestDatabase];
beforeAll(async () => {
  two = [await testDatabase(), await testDatabase()];
});
afterAll(async () => {
  for (const db of two) await db.close();
});

describe('migrating', () => {
  it('is harmless to repeat, from several processes, on several databases of one server at once', async () => {
    const runs = await Promise.all(
      Array.from({ length: 10 }, () => two.map((db) => migrate(db.ownerUrl, db.secret))).flat(),
    );
    expect(runs.flatMap((r) => r.applied)).toEqual([]);
  });

  it('gives every role a password that follows from the secret, and no other lets it in', async () => {
    const [db] = two;
    for (const role of databaseRoles) {
      const client = new Client({ connectionString: roleUrl(db.ownerUrl, db.secret, role) });
      await client.connect();
      await client.end();
      const stranger = new Client({ connectionString: roleUrl(db.ownerUrl, 'another secret', role) });
      await expect(stranger.connect()).rejects.toMatchObject({ code: '28P01' });
    }
  });

  it('lets no process make a table or change the history of the schema', async () => {
    const [db] = two;
    for (const role of databaseRoles) {
      const client = new Client({ connectionString: db.urlFor(role) });
      await client.connect();
      for (const text of ['create table public.mine (id text)', 'delete from public.berth_migrations'])
        await expect(client.query(text)).rejects.toMatchObject({ code: '42501' });
      await client.end();
    }
  });
});
