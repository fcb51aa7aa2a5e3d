import { beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '#kernel';
import { VendorError, type ProviderPort, type VendorMachine } from '#contracts';
import { MemoryStore, WORKER } from '#platform/database';
import { Vendors } from '#compute/providers';
import { defaultLeaseTimes as times } from './decide.js';
import { attemptWith, leaseWith, machineWith, NOW } from './leases.fixture.js';
import { leaseAttempts, leases, type AttemptState, type LeaseRow } from './leases.table.js';
import { sweepOrphans } from './orphans.js';

let clock: ManualClock;
let store: MemoryStore;
let listed: VendorMachine[];
let killed: string[];
let repaired: string[];
let alarms: string[];
let listFails: Error | null;
let terminateFails: Error | null;
let whileListing: () => Promise<void>;

beforeEach(() => {
  clock = new ManualClock(NOW + times.orphanGraceMs);
  store = new MemoryStore(clock);
  [listed, killed, repaired, alarms, listFails, terminateFails] = [[], [], [], [], null, null];
  whileListing = () => Promise.resolve();
});

const WINDOW = 3_000;
const port = {
  describe: () => ({ consistencyWindowMs: WINDOW }),
  async *list() {
    if (listFails) throw listFails;
    const answer = [...listed];
    await whileListing();
    yield* answer;
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
  };
  return sweepOrphans({ store, vendors, installId: 'ins_1', times, report }, 'prv_1');
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
    expect(await sweep()).toEqual({ seen: 1, terminated: [] });
  });

  it.each(['calling', 'unknown'] as const)('whose call is %s is in flight, however old', async (state) => {
    await there({ state: 'calling' }, state);
    listed = [machineWith({ createdAtMs: 0 })];
    expect(await sweep()).toEqual({ seen: 1, terminated: [] });
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

  it('that no row knows of is terminated after the grace', async () => {
    listed = [machineWith({ attemptId: null, leaseId: null }), machineWith({ vendorId: 'vm-2', attemptId: 'att_x' })];
    expect((await sweep()).terminated).toEqual(['vm-1', 'vm-2']);
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

describe('the sweep', () => {
  it('never touches a machine of another installation, whatever the vendor lists', async () => {
    listed = [
      machineWith({ installId: 'ins_2', attemptId: null, createdAtMs: 0 }),
      machineWith({ installId: null, attemptId: null, createdAtMs: 0 }),
    ];
    expect(await sweep()).toEqual({ seen: 0, terminated: [] });
  });

  it('does nothing while the vendor cannot be asked', async () => {
    listFails = new VendorError('transient', 'account', 'down');
    expect(await sweep()).toEqual({ seen: 0, terminated: [] });
  });

  it('passes a bug on', async () => {
    listFails = new TypeError('bug');
    await expect(sweep()).rejects.toThrow('bug');
  });

  it('raises an alarm about a machine that will not go, and comes back for it', async () => {
    listed = [machineWith({ attemptId: null })];
    terminateFails = new VendorError('transient', 'account', 'not now');
    expect((await sweep()).terminated).toEqual([]);
    expect(alarms).toEqual(['machine vm-1 of prv_1 belongs to nobody and could not be terminated: not now']);
    terminateFails = null;
    expect((await sweep()).terminated).toEqual(['vm-1']);
  });
});
