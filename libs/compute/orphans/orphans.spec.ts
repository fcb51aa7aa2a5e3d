import { beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '#kernel';
import { VendorError, type ProviderPort, type VendorMachine } from '#contracts';
import { BROKER } from '#identity/audit';
import { MemoryStore, WORKER } from '#platform/database';
import { Vendors } from '#compute/providers';
import { defaultLeaseTimes as times, leaseAttempts, leases, type AttemptState, type LeaseRow } from '#compute/leases';
import { attemptWith, leaseWith, machineWith, NOW } from '#testing';
import { OrphanSweep } from './sweep.js';
import { Orphans } from './orphans.service.js';

let clock: ManualClock;
let store: MemoryStore;
let listed: VendorMachine[];
let killed: string[];
let repaired: string[];
let alarms: string[];
let listFails: Error | null;
let terminateFails: Error | null;
let whileListing: () => Promise<void>;
let doubted: string[];
let kept: number;
/** Lists to come, before `listed`. */
let lists: VendorMachine[][];
let asked: string[];
let askedAtOnce: number;
/** What a machine's own `get` says: there unless it is named. */
let gets: Record<string, VendorMachine | null | Error>;

beforeEach(() => {
  clock = new ManualClock(NOW + times.orphanGraceMs);
  store = new MemoryStore(clock);
  [listed, killed, repaired, alarms, listFails, terminateFails] = [[], [], [], [], null, null];
  whileListing = () => Promise.resolve();
  [doubted, kept, lists, asked, askedAtOnce, gets] = [[], 0, [], [], 0, {}];
});

const WINDOW = 3_000;
let under = 0;
const port = {
  describe: () => ({ consistencyWindowMs: WINDOW }),
  async *list() {
    if (listFails) throw listFails;
    const answer = [...(lists.shift() ?? listed)];
    await whileListing();
    yield* answer;
  },
  get: async (id: string) => {
    asked.push(id);
    under++;
    askedAtOnce = Math.max(askedAtOnce, under);
    await Promise.resolve();
    under--;
    const answer = gets[id];
    if (answer instanceof Error) throw answer;
    return answer === undefined ? machineWith({ vendorId: id }) : answer;
  },
  terminate: (id: string) => {
    if (terminateFails) return Promise.reject(terminateFails);
    killed.push(id);
    return Promise.resolve();
  },
} as unknown as ProviderPort;

async function sweep() {
  const vendors = new Vendors();
  vendors.bind('prv_1', { port, acceptance: 'enrolled', residentAgent: false });
  const report = {
    repaired: (net: string, _kind: string, id: string) => void repaired.push(`${net} ${id}`),
    alarm: (message: string) => void alarms.push(message),
    doubted: (id: string) => void doubted.push(id),
    kept: (_id: string, machines: number) => void (kept = machines),
  };
  return new OrphanSweep({ store, vendors, installId: 'ins_1', times, report }).sweep('prv_1');
}
const there = (lease: Partial<LeaseRow>, state: AttemptState) =>
  store.transaction(WORKER, async (tx) => {
    await tx.insert(leases, leaseWith(lease));
    await tx.insert(leaseAttempts, attemptWith({ state }));
  });
const ended = { state: 'ended', endReason: 'lost', endedAt: NOW } as const;

describe('a machine of ours', () => {
  it('that a lease wants is left alone', async () => {
    await there({ state: 'ready', vendorId: 'vm-1' }, 'created');
    listed = [machineWith({ createdAtMs: 0 })];
    expect(await sweep()).toEqual({ seen: 1, terminated: [], kept: [] });
  });

  it.each(['calling', 'unknown'] as const)('whose call is %s is in flight, however old', async (state) => {
    await there({ state: 'calling' }, state);
    listed = [machineWith({ createdAtMs: 0 })];
    expect(await sweep()).toEqual({ seen: 1, terminated: [], kept: [] });
  });

  it('of a superseded attempt is terminated at sight', async () => {
    await there({ state: 'provisioning', vendorId: 'vm-2' }, 'superseded');
    listed = [machineWith({ createdAtMs: clock.now() })];
    expect((await sweep()).terminated).toEqual(['vm-1']);
    expect(repaired).toEqual(['superseded-machine vm-1']);
  });

  it('whose lease ended while the vendor was listing is no orphan of that list', async () => {
    await there({ state: 'terminating', vendorId: 'vm-1' }, 'created');
    listed = [machineWith({ createdAtMs: 0 })];
    whileListing = async () => {
      clock.advance(88_000);
      await store.transaction(WORKER, (tx) =>
        tx.update(leases, { id: 'lease_1' }, { state: 'ended', endedAt: clock.now() - 80_000 }),
      );
    };
    expect((await sweep()).terminated).toEqual([]);
    expect(repaired).toEqual([]);
  });

  it('whose lease ended less than the vendor’s lag before is no orphan yet', async () => {
    await there({ ...ended, endedAt: clock.now(), vendorId: 'vm-1' }, 'closed');
    listed = [machineWith({ createdAtMs: 0 })];
    clock.advance(WINDOW);
    expect((await sweep()).terminated).toEqual([]);
    clock.advance(1);
    expect((await sweep()).terminated).toEqual(['vm-1']);
  });

  it.each(['created', 'closed', 'failed'] as const)(
    'of an ended lease (%s) is terminated after the grace',
    async (state) => {
      await there({ ...ended, vendorId: 'vm-1' }, state);
      listed = [machineWith({ createdAtMs: NOW + 1 })];
      expect((await sweep()).terminated).toEqual([]);
      clock.advance(1);
      expect((await sweep()).terminated).toEqual(['vm-1']);
      expect(repaired).toEqual(['orphan vm-1']);
    },
  );

  it('without an attempt is nobody’s after the grace, where the records are newer than it', async () => {
    await there(ended, 'closed');
    listed = [machineWith({ attemptId: null, leaseId: null, createdAtMs: NOW })];
    clock.set(NOW + times.orphanGraceMs - 1);
    expect((await sweep()).terminated).toEqual([]);
    clock.advance(1);
    expect((await sweep()).terminated).toEqual(['vm-1']);
  });

  it('whose age the vendor does not tell is as old as its attempt', async () => {
    await there(ended, 'closed');
    listed = [machineWith({ createdAtMs: null })];
    clock.set(NOW);
    expect((await sweep()).terminated).toEqual([]);
    clock.advance(times.orphanGraceMs);
    expect((await sweep()).terminated).toEqual(['vm-1']);
  });

  it('whose age nobody knows does not run for ever', async () => {
    listed = [machineWith({ createdAtMs: null, attemptId: null })];
    expect((await sweep()).terminated).toEqual(['vm-1']);
  });

  it.each(['terminated', 'failed', 'preempted', 'stopping'] as const)('that is %s is no orphan', async (state) => {
    listed = [machineWith({ state, createdAtMs: 0 })];
    expect((await sweep()).terminated).toEqual([]);
    expect(repaired).toEqual([]);
  });
});

/** Machines `vm-1` to `vm-n`, each of a lease that is ready. */
async function fleet(n: number): Promise<VendorMachine[]> {
  const machines = Array.from({ length: n }, (_, i) => machineWith({ vendorId: `vm-${i + 1}`, attemptId: `att_${i}` }));
  await store.transaction(WORKER, async (tx) => {
    for (const [i, { vendorId }] of machines.entries()) {
      const id = `lease_${i}`;
      await tx.insert(leases, leaseWith({ id, vendorId, state: 'ready', wakeAt: clock.now() + 9_000 }));
      await tx.insert(leaseAttempts, attemptWith({ id: `att_${i}`, leaseId: id, state: 'created' }));
    }
  });
  return machines;
}
/** Vendor's ids of the machines that are looked at now. */
const woken = () =>
  store
    .rows(leases)
    .filter((l) => l.wakeAt === clock.now())
    .map((l) => l.vendorId);

describe('a list that lacks machines of ours', () => {
  it.each([
    [2, 3],
    [2, 2],
    [3, 15],
    [20, 100],
  ])('is believed when they are %i of %i: each is looked at by itself, at once', async (missing, of) => {
    listed = (await fleet(of)).slice(missing);
    await sweep();
    expect([doubted, alarms, asked]).toEqual([[], [], []]);
    expect(woken()).toHaveLength(missing);
    expect(store.rows(leases).every((l) => l.state === 'ready')).toBe(true);
  });

  it.each([
    [3, 3],
    [3, 14],
    [21, 100],
  ])('is not believed when they are %i of %i: taken again, then asked for one by one', async (missing, of) => {
    listed = (await fleet(of)).slice(missing);
    gets = { 'vm-2': null };
    await sweep();
    expect(doubted).toEqual(['prv_1']);
    expect(asked).toHaveLength(missing);
    expect(askedAtOnce).toBeLessThanOrEqual(4);
    expect(woken()).toEqual(['vm-2']);
    expect(store.rows(leases).every((l) => l.state === 'ready')).toBe(true);
    expect(alarms).toEqual([
      `the list of prv_1 lacks ${missing} of ${of} machines and is not believed; asked one by one, ` +
        `${missing - 1} are there, 1 are not, 0 are not answered for yet`,
    ]);
  });

  it('by mistake is told of, and nothing is asked for once the next one has them', async () => {
    listed = await fleet(5);
    lists = [[]];
    await sweep();
    expect([doubted, asked, woken()]).toEqual([['prv_1'], [], []]);
    expect(alarms).toEqual(['the list of prv_1 lacks 5 of 5 machines and is not believed; taken again, it lacks 0']);
  });

  it('is asked no further once the vendor does not answer', async () => {
    await fleet(40);
    gets = { 'vm-6': new VendorError('rate-limited', 'account', 'slow down') };
    await sweep();
    expect(asked).toHaveLength(8);
    expect(alarms[0]).toContain('7 are there, 0 are not, 33 are not answered for yet');
  });

  it('because it is from before they were, or because they are going, lacks nothing', async () => {
    await fleet(5);
    await store.transaction(WORKER, async (tx) => {
      await tx.update(leases, { id: { in: ['lease_0', 'lease_1', 'lease_2'] } }, { stateSince: clock.now() - WINDOW });
      await tx.update(leases, { id: { in: ['lease_3', 'lease_4'] } }, { state: 'terminating' });
    });
    await sweep();
    expect([doubted, woken()]).toEqual([[], []]);
  });

  it('never shortens the wait for the second look at a machine', async () => {
    await fleet(1);
    await store.transaction(WORKER, (tx) => tx.update(leases, { id: 'lease_0' }, { failures: 1 }));
    await sweep();
    expect(woken()).toEqual([]);
  });
});

describe('a machine that the database cannot know', () => {
  const stranger = (over: Partial<VendorMachine> = {}) =>
    machineWith({ attemptId: 'att_lost', createdAtMs: 0, ...over });
  const admin = () => new Orphans(store);

  it.each([
    ['unknown-attempt', {}],
    ['newer-than-records', { attemptId: null, createdAtMs: NOW + 1 }],
  ] as const)('(%s) is reported and runs on, and so does every other orphan', async (reason, over) => {
    await there({ ...ended, vendorId: 'vm-2' }, 'superseded');
    listed = [stranger(over), machineWith({ vendorId: 'vm-2' })];
    for (let n = 0; n < 3; n++) {
      expect(await sweep()).toEqual({ seen: 2, terminated: [], kept: ['vm-1', 'vm-2'] });
      clock.advance(30_000);
    }
    expect([killed, kept]).toEqual([[], 2]);
    expect(alarms).toHaveLength(1);
    const { pause, orphans } = await admin().standing();
    expect(pause).toMatchObject({ byKeyId: null, reason: expect.stringContaining('prv_1') });
    expect(orphans.map((o) => [o.vendorId, o.reason, o.confirmedAt])).toEqual([
      ['vm-1', reason, null],
      ['vm-2', 'superseded', null],
    ]);
  });

  it('is terminated when an administrator has confirmed it, it alone', async () => {
    listed = [stranger(), stranger({ vendorId: 'vm-2' })];
    await sweep();
    const machines = ['vm-1', 'vm-3'].map((vendorId) => ({ providerId: 'prv_1', vendorId }));
    expect((await admin().confirm(BROKER, machines)).map((o) => o.vendorId)).toEqual(['vm-1']);
    expect(await sweep()).toEqual({ seen: 2, terminated: ['vm-1'], kept: ['vm-2'] });
  });

  it('stays so however new the rows are that are written after the restore', async () => {
    listed = [stranger()];
    await there({ state: 'ready', vendorId: 'vm-2' }, 'created');
    expect((await sweep()).kept).toEqual(['vm-1']);
  });

  it('is not terminated because the sweep was resumed without it', async () => {
    listed = [stranger()];
    await sweep();
    await admin().resume(BROKER);
    expect((await sweep()).terminated).toEqual([]);
    expect((await admin().standing()).pause).not.toBeNull();
  });

  it('is forgotten an hour after it was last shown', async () => {
    listed = [stranger()];
    await sweep();
    listed = [];
    clock.advance(3_600_000);
    await sweep();
    expect((await admin().standing()).orphans).toHaveLength(1);
    clock.advance(1);
    await sweep();
    expect((await admin().standing()).orphans).toEqual([]);
  });
});

describe('an administrator', () => {
  it('pauses the sweep, sees what it would end, and resumes it', async () => {
    const admin = new Orphans(store);
    await there({ ...ended, vendorId: 'vm-1' }, 'closed');
    listed = [machineWith({ createdAtMs: 0 })];
    await admin.pause(BROKER, 'restored the backup of Monday');
    expect(await sweep()).toEqual({ seen: 1, terminated: [], kept: ['vm-1'] });
    expect((await admin.standing()).orphans.map((o) => o.reason)).toEqual(['ended']);
    await admin.resume(BROKER);
    expect(await sweep()).toEqual({ seen: 1, terminated: ['vm-1'], kept: [] });
    expect(kept).toBe(0);
  });
});

describe('the sweep', () => {
  it('never touches a machine of another installation, whatever the vendor lists', async () => {
    listed = [
      machineWith({ installId: 'ins_2', attemptId: null, createdAtMs: 0 }),
      machineWith({ installId: null, attemptId: null, createdAtMs: 0 }),
    ];
    expect(await sweep()).toEqual({ seen: 0, terminated: [], kept: [] });
  });

  it('does nothing while the vendor cannot be asked', async () => {
    listFails = new VendorError('transient', 'account', 'down');
    expect(await sweep()).toEqual({ seen: 0, terminated: [], kept: [] });
  });

  it('passes a bug on', async () => {
    listFails = new TypeError('bug');
    await expect(sweep()).rejects.toThrow('bug');
  });

  it('raises an alarm about a machine that will not go, and comes back for it', async () => {
    await there(ended, 'closed');
    listed = [machineWith()];
    terminateFails = new VendorError('transient', 'account', 'not now');
    expect((await sweep()).terminated).toEqual([]);
    expect(alarms).toEqual(['machine vm-1 of prv_1 belongs to nobody and could not be terminated: not now']);
    terminateFails = null;
    expect((await sweep()).terminated).toEqual(['vm-1']);
  });
});
