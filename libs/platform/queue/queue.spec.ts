import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import pg from 'pg';
import { silentLogger } from '#platform/observability';
import { hasRedis, testDatabase, testRedis, type TestDatabase } from '#testing';
import { JobQueues, prepareQueueSchema, QueueModule, WAKE_QUEUE, type QueueLocation } from './index.js';
import { PATIENT_MS, queueContract } from './queue.contract.js';

queueContract('PostgreSQL', async () => {
  const database = await testDatabase();
  return { location: { kind: 'postgres', url: database.urlFor('berth_queue') }, close: () => database.close() };
});

if (hasRedis()) {
  queueContract('Redis', async () => {
    const { url, close } = await testRedis();
    return { location: { kind: 'redis', url }, close };
  });
} else {
  console.warn('redis-server not found: the queue is tried on PostgreSQL only');
  it.skip('the queue on Redis (redis-server not found)', () => undefined);
}

describe('the queue in PostgreSQL', () => {
  let database: TestDatabase;
  let location: QueueLocation;
  beforeAll(async () => {
    database = await testDatabase();
    location = { kind: 'postgres', url: database.urlFor('berth_queue') };
  });
  afterAll(() => database.close());
  const open = (): Promise<JobQueues> => JobQueues.open({ location, logger: silentLogger, answerMs: PATIENT_MS });

  it('brings its tables up to date from many processes at once, in its own schema, as its own role', async () => {
    await Promise.all([1, 2, 3].map(() => prepareQueueSchema(location.url)));
    const client = new pg.Client({ connectionString: database.ownerUrl });
    await client.connect();
    const { rows } = await client.query<{ schema: string; owner: string }>(
      `select distinct n.nspname as schema, pg_get_userbyid(c.relowner) as owner from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relname in ('job', 'event_seq')`,
    );
    await client.end();
    expect(rows).toEqual([{ schema: 'bullmq', owner: 'berth_queue' }]);
  });

  it('counts wake-ups that it cannot take, and does not throw', async () => {
    const queues = await open();
    const client = new pg.Client({ connectionString: location.url });
    await client.connect();
    await client.query('alter table bullmq.job rename to job_gone');
    await queues.wake('lease', 'a');
    await queues.wake('lease', 'a');
    expect(queues.lost).toBe(2);
    await expect(queues.check()).rejects.toThrow(/job/);
    await client.query('alter table bullmq.job_gone rename to job');
    await client.end();
    await queues.wake('lease', 'a');
    expect(queues.lost).toBe(2);
    await queues.close();
    await queues.wake('lease', 'a');
    expect(queues.lost).toBe(3);
  });

  it('is opened and closed with a Nest application', async () => {
    const options = { location, logger: silentLogger, answerMs: PATIENT_MS };
    const app = await (await Test.createTestingModule({ imports: [QueueModule.open(options)] }).compile()).init();
    const queues = app.get(JobQueues);
    expect(app.get(WAKE_QUEUE)).toBe(queues);
    await queues.check();
    await app.close();
    await expect(queues.check()).rejects.toThrow();
  });
});
