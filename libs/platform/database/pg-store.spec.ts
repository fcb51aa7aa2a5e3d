import { afterAll } from '@jest/globals';
import { Client } from 'pg';
import { testDatabase } from '#testing';
import { openStore, type OpenStore } from './open.js';
import { describeStoreContract, THINGS_SQL } from './store.contract.js';

let open: OpenStore | undefined;
let close: (() => Promise<void>) | undefined;

describeStoreContract('PostgreSQL', async () => {
  const db = await testDatabase();
  close = () => db.close();
  const owner = new Client({ connectionString: db.ownerUrl });
  await owner.connect();
  await owner.query(`${THINGS_SQL}; grant select, insert, update, delete on contract_things to berth_worker`);
  await owner.end();
  open = await openStore(db.ownerUrl, db.secret, { poolSize: 8, name: 'spec' });
  return open.store;
});

afterAll(async () => {
  await open?.close();
  await close?.();
});
