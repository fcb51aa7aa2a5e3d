import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { jobStates, workloadSchema } from '#contracts';
import { leaseStates, type LeaseRow } from '#compute/leases';
import { MAX_LEASE_TRIES, nextJobAction } from './decide.js';
import { jobWith, NOW } from './jobs.fixture.js';
import { jobMachine, type JobRow } from './jobs.table.js';

// Only these fields of a lease matter to its job.
const leaseWith = (over: Partial<LeaseRow> = {}): LeaseRow =>
  ({
    id: 'lease_1',
    state: 'ready',
    jobId: 'job_1',
    endReason: null,
    message: null,
    offer: { pricing: 'on-demand' },
    ...over,
  }) as LeaseRow;
const on = { leaseId: 'lease_1' };
const finished = { shardsDone: 2 };
const late: Partial<JobRow> = {
  state: 'running',
  workload: workloadSchema.parse({ constraints: { deadlineS: 60 } }),
  fallback: { offerId: 'o', name: 'o', startS: 10, workS: 50, shardsLeft: 2 },
};
const onSpot = { offer: { pricing: 'spot' } as LeaseRow['offer'] };

describe('the next action of a job', () => {
  it.each<[string, Partial<JobRow>, Partial<LeaseRow> | null, object]>([
    ['is placed', { state: 'queued' }, null, { do: 'place' }],
    [
      'is placed although its wake time lies a little ahead',
      { state: 'queued', wakeAt: NOW + 3 },
      null,
      { do: 'place' },
    ],
    ['waits for capacity', { state: 'placing', wakeAt: NOW + 9 }, null, { do: 'rest', untilMs: NOW + 9 }],
    ['looks for capacity again', { state: 'placing' }, null, { do: 'place' }],
    ['looks for another machine', { state: 'recovering' }, null, { do: 'place' }],
    [
      'stops after so many machines',
      { state: 'recovering', leaseTries: MAX_LEASE_TRIES },
      null,
      { do: 'fail', code: 'no-machine' },
    ],
    ['runs when its machine is there', { ...on, state: 'starting' }, {}, { do: 'run' }],
    ['waits for its machine', { ...on, state: 'starting' }, { state: 'booting' }, { do: 'rest', untilMs: NOW + 5_000 }],
    ['looks after what runs', { ...on, state: 'running' }, {}, { do: 'rest', untilMs: NOW + 5_000 }],
    [
      'looks no later than its timeout',
      { ...on, state: 'running', timeoutAt: NOW + 2 },
      {},
      { do: 'rest', untilMs: NOW + 2 },
    ],
    ['moves when only a machine that is not taken away is safe', { ...on, ...late }, onSpot, { do: 'move' }],
    ['stays where it cannot be taken away, however late', { ...on, ...late }, {}, { do: 'rest', untilMs: NOW + 5_000 }],
    ['fails at its timeout', { ...on, state: 'running', timeoutAt: NOW }, {}, { do: 'fail', code: 'timeout' }],
    [
      'fails at its timeout while it waits',
      { state: 'placing', timeoutAt: NOW },
      null,
      { do: 'fail', code: 'timeout' },
    ],
    ['is cancelled', { ...on, state: 'running', cancelRequestedAt: NOW }, {}, { do: 'cancel' }],
    [
      'is cancelled rather than timed out',
      { state: 'queued', cancelRequestedAt: NOW, timeoutAt: NOW },
      null,
      { do: 'cancel' },
    ],
    ['is done', { ...on, state: 'running', ...finished }, {}, { do: 'finish' }],
    [
      'is done with failed shards too',
      { ...on, state: 'running', shardsDone: 1, shardsFailed: 1 },
      {},
      { do: 'finish' },
    ],
    [
      'is done although its machine is gone',
      { ...on, state: 'running', ...finished },
      { state: 'ended' },
      { do: 'finish' },
    ],
    [
      'is done rather than cancelled',
      { ...on, state: 'running', ...finished, cancelRequestedAt: NOW },
      {},
      { do: 'finish' },
    ],
    ['is done rather than late', { ...on, state: 'recovering', ...finished, timeoutAt: NOW }, null, { do: 'finish' }],
    [
      'whose work was done before it was seen running rents nothing more',
      { ...on, state: 'starting', ...finished },
      { state: 'ended' },
      { do: 'run' },
    ],
    [
      'moves on when its machine is gone',
      { ...on, state: 'running' },
      { state: 'ended', message: 'lost: x' },
      { do: 'replace', message: 'lost: x' },
    ],
    ['moves on when its machine goes', { ...on, state: 'running' }, { state: 'terminating' }, { do: 'replace' }],
    ['moves on when its machine will be taken', { ...on, state: 'running' }, { state: 'draining' }, { do: 'replace' }],
    ['moves on when its machine works for another', { ...on, state: 'running' }, { jobId: 'job_2' }, { do: 'replace' }],
    [
      'moves on when nobody knows its machine',
      { ...on, state: 'starting' },
      null,
      { do: 'replace', message: 'the machine is gone' },
    ],
    [
      'fails when its cap is used up',
      { ...on, state: 'running' },
      { state: 'terminating', message: 'unpaid' },
      { do: 'fail', code: 'cost-cap-reached' },
    ],
    [
      'fails when its cap was used up',
      { ...on, state: 'running' },
      { state: 'ended', endReason: 'unpaid' },
      { do: 'fail', code: 'cost-cap-reached' },
    ],
  ])('%s', (_, job, lease, expected) => {
    expect(nextJobAction(jobWith(job), lease && leaseWith(lease), NOW)).toMatchObject(expected);
  });

  it.each(['succeeded', 'failed', 'cancelled'] as const)('of one that has %s is none', (state) => {
    const odd = jobWith({ state, cancelRequestedAt: NOW, timeoutAt: NOW, ...finished });
    expect(nextJobAction(odd, leaseWith(), NOW)).toEqual({ do: 'rest', untilMs: null });
  });

  it('is defined for every job and lease, rests only into the future, and never fails what is finished', () => {
    const time = fc.integer({ min: NOW - 1e8, max: NOW + 1e8 });
    const job = fc.record({
      state: fc.constantFrom(...jobStates),
      cancelRequestedAt: fc.option(time, { nil: null }),
      wakeAt: fc.option(time, { nil: null }),
      timeoutAt: time,
      leaseTries: fc.integer({ min: 0, max: 25 }),
      shardsDone: fc.integer({ min: 0, max: 2 }),
    });
    const lease = fc.option(
      fc.record({
        state: fc.constantFrom(...leaseStates),
        jobId: fc.constantFrom('job_1', 'job_2', null),
        message: fc.constantFrom(null, 'unpaid', 'lost: x'),
        endReason: fc.constantFrom(null, 'unpaid' as const, 'lost' as const),
      }),
      { nil: null },
    );
    fc.assert(
      fc.property(job, lease, time, (j, l, now) => {
        const row = jobWith(j);
        const action = nextJobAction(row, l && leaseWith(l), now);
        if (jobMachine.isTerminal(row.state)) expect(action).toEqual({ do: 'rest', untilMs: null });
        else if (action.do === 'rest') expect(action.untilMs).toBeGreaterThan(now);
        if (row.shardsDone === 2 && (row.state === 'running' || row.state === 'recovering'))
          expect(action.do).toBe('finish');
        if (row.timeoutAt <= now) expect(action.do).not.toBe('place');
      }),
      { numRuns: 2_000 },
    );
  });
});
