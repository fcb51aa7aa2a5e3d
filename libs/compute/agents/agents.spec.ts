import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MINUTE, HOUR, ManualClock, SeededRandom, systemRandom } from '#kernel';
import { syncRequestSchema, type HostFacts, type SyncRequestInput, type WorkItem } from '#contracts';
import { MemoryStore, openStore, WORKER, type OpenStore, type Store } from '#platform/database';
import { patient, testDatabase, type TestDatabase } from '#testing';
import { plainSecrets } from '#testing/world';
import { Agents, agents, HOST_TOKEN_TTL_MS, LEASE_TOKEN_TTL_MS, type AgentRow, type WorkSource } from './index.js';

const facts = {
  hostname: 'h',
  os: 'linux',
  arch: 'x64',
  vcpus: 4,
  cpuModel: 'c',
  ramGiB: 8,
  diskFreeGiB: 9,
  gpus: [],
  gpuLink: 'none',
  agentVersion: '0',
  engines: [],
} satisfies HostFacts;
const quiet = () => Promise.resolve();
const lease = { organizationId: 'org_1', leaseId: 'lease_1' };

let clock: ManualClock;
let store: MemoryStore;
let room: Agents;

beforeEach(() => {
  clock = new ManualClock();
  store = new MemoryStore(clock);
  room = new Agents(store, plainSecrets(new SeededRandom(1)), clock, new SeededRandom(2));
});

const invite = (of: Parameters<Agents['invite']>[1] = lease, on: Store = store, by = room) =>
  on.transaction(WORKER, (tx) => by.invite(tx, of));
async function enrolled(): Promise<AgentRow> {
  const { token } = await invite();
  const { credential } = await room.enrol(token, facts, quiet);
  const row = await room.authenticate(credential);
  if (!row) throw new Error('the credential does not work');
  return row;
}
const refused = { kind: 'unauthenticated', code: 'enrolment-refused' };

describe('enrolment', () => {
  it('trades a token for a credential and keeps hashes only', async () => {
    const { agent, token } = await invite();
    const seen: string[] = [];
    const { agentId, credential } = await room.enrol(token, facts, (_tx, row) =>
      Promise.resolve(void seen.push(row.id)),
    );
    expect([agentId, seen]).toEqual([agent.id, [agent.id]]);
    const [row] = store.rows(agents);
    expect(row).toMatchObject({
      state: 'enrolled',
      kind: 'lease',
      leaseId: 'lease_1',
      hostId: null,
      tokenHash: null,
      facts,
    });
    expect([row?.credentialHash === credential, row?.credentialHash === `#${credential}`]).toEqual([false, true]);
    expect((await room.authenticate(credential))?.id).toBe(agentId);
  });

  it('takes a token once', async () => {
    const { token } = await invite();
    await room.enrol(token, facts, quiet);
    await expect(room.enrol(token, facts, quiet)).rejects.toMatchObject(refused);
  });

  it('takes no token that was made up, and no credential as a token', async () => {
    const { token } = await invite();
    const { credential } = await room.enrol(token, facts, quiet);
    for (const wrong of ['', 'x', credential])
      await expect(room.enrol(wrong, facts, quiet)).rejects.toMatchObject(refused);
    for (const wrong of ['', 'x', token]) expect(await room.authenticate(wrong)).toBeNull();
  });

  it.each([
    ['a rented machine', lease, LEASE_TOKEN_TTL_MS, 15 * MINUTE],
    ['a host', { organizationId: 'org_1', hostId: 'host_1' }, HOST_TOKEN_TTL_MS, 24 * HOUR],
  ])('takes the token of %s until it expires', async (_, of, ttlMs, wanted) => {
    expect(ttlMs).toBe(wanted);
    const [first, second] = [await invite(of), await invite(of)];
    clock.advance(ttlMs - 1);
    await room.enrol(first.token, facts, quiet);
    clock.advance(1);
    await expect(room.enrol(second.token, facts, quiet)).rejects.toMatchObject(refused);
  });

  it('is undone, token and all, when those who wait for it refuse', async () => {
    const { token } = await invite();
    await expect(room.enrol(token, facts, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(store.rows(agents)[0]).toMatchObject({ state: 'invited', credentialHash: null });
    await room.enrol(token, facts, quiet);
  });

  it('ends with the agent: neither its credential nor its token works', async () => {
    const row = await enrolled();
    const { agent, token } = await invite();
    await store.transaction(WORKER, async (tx) => {
      for (const { id } of [row, agent]) await room.retire(tx, id);
    });
    await expect(room.enrol(token, facts, quiet)).rejects.toMatchObject(refused);
    expect(store.rows(agents).map((a) => [a.state, a.credentialHash, a.tokenHash])).toEqual([
      ['gone', null, null],
      ['gone', null, null],
    ]);
  });

  it('of a host’s agents ends together, but for the one that is kept', async () => {
    const host = { organizationId: 'org_1', hostId: 'host_1' };
    const [a, b] = [await invite(host), await invite(host)];
    const other = await invite({ ...host, hostId: 'host_2' });
    await store.transaction(WORKER, (tx) => room.retireOfHost(tx, 'host_1', b.agent.id));
    const states = store.rows(agents).map((r) => [r.id, r.state]);
    expect(states).toEqual([
      [a.agent.id, 'gone'],
      [b.agent.id, 'invited'],
      [other.agent.id, 'invited'],
    ]);
  });
});

describe('a sync', () => {
  const item = (workId: string, fence = 1): WorkItem => ({
    workId,
    jobId: 'job_1',
    leaseId: 'lease_1',
    fence,
    deadlineAt: '2026-11-21T00:00:00Z',
    spec: { kind: 'batch-inference', model: 'm', inputPath: '/', lineFrom: 0, lineTo: 1 },
  });
  /** Work as a list that the spec changes; remembers what it was asked. */
  class Work implements WorkSource {
    items: WorkItem[] = [];
    reported: string[] = [];
    asked: { capacity: number; known: string[] }[] = [];
    look: WorkSource['look'] = (tx, agent) => ({ tx, agent });
    report: WorkSource['report'] = (_sight, reports) => {
      this.reported.push(...reports.map((r) => r.workId));
      return Promise.resolve(reports.map(({ workId, fence }) => ({ workId, fence })));
    };
    desired: WorkSource['desired'] = (_sight, capacity, known) => {
      this.asked.push({ capacity, known: [...known] });
      return Promise.resolve(this.items);
    };
  }
  let work: Work;
  let row: AgentRow;
  let waits: number[];
  /** Waiting lets time pass, and then whatever the spec wants to happen. */
  let meanwhile: () => void | Promise<void>;
  let answer: 'look' | 'stop';
  const bell = {
    wait: async (_id: string, ms: number) => {
      waits.push(ms);
      clock.advance(Math.min(ms, 2_000));
      await meanwhile();
      return answer;
    },
  };
  beforeEach(async () => {
    [work, row, waits, meanwhile, answer] = [new Work(), await enrolled(), [], () => undefined, 'look'];
  });
  const sync = (over: Partial<SyncRequestInput> = {}) =>
    room.sync(
      row,
      syncRequestSchema.parse({ seq: 0, reports: [], capacity: 2, waitMs: 20_000, knownWork: [], ...over }),
      work,
      bell,
    );

  describe('of an agent that rests', () => {
    let rung: boolean;
    const memory = { watch: () => void (rung = false), rang: () => rung };
    const poll = (over: Partial<SyncRequestInput>) =>
      room.sync(
        row,
        syncRequestSchema.parse({ reports: [], capacity: 2, waitMs: 0, knownWork: [], ...over } as SyncRequestInput),
        work,
        { ...bell, memory },
      );
    const looks = () => work.asked.length;
    const report = { workId: 'a', fence: 1, state: 'running' as const };

    it('begins to wait without a look when nothing can have changed', async () => {
      await poll({ seq: 1, reports: [report] });
      expect(looks()).toBe(1);
      expect(await poll({ seq: 2 })).toEqual({ work: [], acknowledged: [], goodbye: false });
      expect(looks()).toBe(1);
    });

    it.each<[string, () => unknown, Partial<SyncRequestInput>]>([
      ['it was rung for', () => (rung = true), {}],
      ['some time has passed', () => clock.advance(5_000), {}],
      ['it can do more', () => undefined, { capacity: 3 }],
      ['it holds work', () => undefined, { knownWork: [{ workId: 'a', fence: 1 }] }],
      ['it has something to say', () => undefined, { reports: [report] }],
      ['it tells of its machine', () => undefined, { facts }],
      ['it is about to go', () => undefined, { draining: true }],
    ])('looks when %s', async (_why, happen, over) => {
      await poll({ seq: 1 });
      happen();
      await poll({ seq: 2, ...over });
      expect(looks()).toBe(2);
    });

    it('looks again after work was given', async () => {
      work.items = [item('a', 1)];
      await poll({ seq: 1 });
      await poll({ seq: 2 });
      expect(looks()).toBe(2);
    });

    it('still refuses a number that was seen before', async () => {
      await poll({ seq: 5 });
      await expect(poll({ seq: 5 })).rejects.toMatchObject({ code: 'stale-sequence' });
    });

    it('says goodbye to one that was retired meanwhile as soon as it looks', async () => {
      await poll({ seq: 1 });
      await store.transaction(WORKER, (tx) => room.retire(tx, row.id));
      expect((await poll({ seq: 2, waitMs: 5_000 })).goodbye).toBe(true);
    });
  });

  it('is answered with what there was when the process that it waits at stops, and loses no work by it', async () => {
    work.items = [item('a')];
    meanwhile = () => void (answer = 'stop');
    const knownWork = [{ workId: 'a', fence: 1 }];
    expect(await sync({ knownWork })).toEqual({ work: [item('a')], acknowledged: [], goodbye: false });
    expect([waits.length, work.asked.length]).toEqual([1, 1]);
  });

  it('answers at once when there is work that the agent does not know', async () => {
    work.items = [item('a')];
    expect(await sync()).toEqual({ work: [item('a')], acknowledged: [], goodbye: false });
    expect(waits).toEqual([]);
    expect(work.asked).toEqual([{ capacity: 2, known: [] }]);
  });

  it.each([
    ['a new fence', [{ workId: 'a', fence: 1 }], [item('a', 2)]],
    ['work that ended', [{ workId: 'a', fence: 1 }], []],
  ])('answers at once for %s', async (_, knownWork, items) => {
    work.items = items;
    await sync({ knownWork });
    expect(waits).toEqual([]);
  });

  it('waits while nothing changes, as long as the agent asked', async () => {
    work.items = [item('a')];
    const knownWork = [{ workId: 'a', fence: 1 }];
    await sync({ knownWork, waitMs: 5_000 });
    expect(waits).toEqual([5_000, 3_000, 1_000]);
    expect(work.asked.at(-1)).toEqual({ capacity: 2, known: ['a'] });
  });

  it('answers as soon as something changes', async () => {
    meanwhile = () => void (work.items = [item('a')]);
    expect((await sync()).work).toHaveLength(1);
    expect(waits).toHaveLength(1);
  });

  it('takes reports once, acknowledges them at once', async () => {
    const reports = [{ workId: 'a', fence: 1, state: 'failed' as const, code: 'c', message: 'm', exitCode: null }];
    expect((await sync({ reports })).acknowledged).toEqual([{ workId: 'a', fence: 1 }]);
    await sync({ seq: 1, reports: [{ workId: 'b', fence: 1, state: 'running' }], waitMs: 0 });
    expect([work.reported, waits]).toEqual([['a', 'b'], []]);
  });

  it('asks for no more work while the agent drains, and does not wait', async () => {
    await sync({ draining: true });
    expect([work.asked, waits]).toEqual([[{ capacity: 0, known: [] }], []]);
  });

  it('refuses a number that was there before: two machines share one credential', async () => {
    await sync({ seq: 7, waitMs: 0 });
    for (const seq of [7, 6, 0]) {
      await expect(sync({ seq, waitMs: 0 })).rejects.toMatchObject({ kind: 'conflict', code: 'stale-sequence' });
    }
    await sync({ seq: 8, waitMs: 0 });
    expect(work.asked).toHaveLength(2);
  });

  it('says goodbye to an agent that was retired, whatever it reports, and takes nothing', async () => {
    await store.transaction(WORKER, (tx) => room.retire(tx, row.id));
    const reports = [{ workId: 'a', fence: 1, state: 'running' as const }];
    expect(await sync({ reports })).toEqual({ work: [], acknowledged: [{ workId: 'a', fence: 1 }], goodbye: true });
    expect([work.reported, waits]).toEqual([[], []]);
  });

  it('says goodbye to an agent that is retired while it waits', async () => {
    meanwhile = () => store.transaction(WORKER, (tx) => room.retire(tx, row.id));
    expect((await sync()).goodbye).toBe(true);
  });

  it('notes the time at most every five seconds, and new facts always', async () => {
    const seen = () => store.rows(agents)[0]?.lastSeenAt;
    const start = clock.now();
    clock.advance(4_999);
    await sync({ seq: 0, waitMs: 0, facts: { ...facts, vcpus: 5 } });
    expect([seen(), store.rows(agents)[0]?.facts?.vcpus]).toEqual([start, 5]);
    clock.advance(1);
    await sync({ seq: 1, waitMs: 0 });
    expect(seen()).toBe(clock.now());
  });
});

describe('on PostgreSQL', () => {
  let database: TestDatabase;
  let opened: OpenStore;
  beforeAll(async () => {
    database = await testDatabase();
    opened = await openStore(database.ownerUrl, database.secret, { poolSize: 8, name: 'agents-spec', ...patient });
  });
  afterAll(async () => {
    await opened.close();
    await database.close();
  });

  it('one of 30 enrolments with the same token wins, and one of 30 syncs with the same number', async () => {
    const wall = new ManualClock(Date.now());
    const on = new Agents(opened.store, plainSecrets(systemRandom), wall, systemRandom);
    const { token } = await invite(lease, opened.store, on);
    const outcomes = await Promise.allSettled(Array.from({ length: 30 }, () => on.enrol(token, facts, quiet)));
    const won = outcomes.flatMap((o) => (o.status === 'fulfilled' ? [o.value] : []));
    expect(won).toHaveLength(1);
    for (const o of outcomes) if (o.status === 'rejected') expect(o.reason).toMatchObject(refused);
    const row = await on.authenticate(won[0]?.credential ?? '');
    if (!row) throw new Error('the credential does not work');
    const request = syncRequestSchema.parse({ seq: 3, reports: [], capacity: 0, waitMs: 0, knownWork: [] });
    const none: WorkSource = {
      look: (tx, agent) => ({ tx, agent }),
      report: () => Promise.resolve([]),
      desired: () => Promise.resolve([]),
    };
    const syncs = await Promise.allSettled(
      Array.from({ length: 30 }, () => on.sync(row, request, none, { wait: () => Promise.resolve('look') })),
    );
    expect(syncs.filter((s) => s.status === 'fulfilled')).toHaveLength(1);
  });
});
