import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { WORKER_ROLES } from '#platform/config';
import {
  JOB_NAMES,
  JOB_POLICIES,
  JobHandlers,
  jobsOf,
  MemoryWakeQueue,
  type JobPolicies,
  type JobPolicy,
} from './index.js';
import { readPayload } from './jobs.js';

describe('the policies of jobs', () => {
  it('must be complete to compile', () => {
    type Fits<A, B> = A extends B ? true : false;
    // These lines fail the type check when they stop being true.
    const withoutOneJob: Fits<Omit<JobPolicies, 'reconcile'>, JobPolicies> = false;
    const withoutOneField: Fits<Omit<JobPolicy<'reconcile'>, 'lockMs'>, JobPolicies['reconcile']> = false;
    const withOptionalField: Fits<Partial<JobPolicy<'reconcile'>>, JobPolicies['reconcile']> = false;
    const whole: Fits<typeof JOB_POLICIES, JobPolicies> = true;
    expect([withoutOneJob, withoutOneField, withOptionalField, whole]).toEqual([false, false, false, true]);
  });

  it('give every job to exactly one role', () => {
    expect(WORKER_ROLES.flatMap((role) => jobsOf([role])).sort()).toEqual([...JOB_NAMES].sort());
    expect(jobsOf(['billing'])).toEqual([]);
  });

  it('refuse a payload of another shape', () => {
    const rows = [{ kind: 'lease', id: 'a' }];
    expect(readPayload('reconcile', { rows })).toEqual({ rows });
    expect(() => readPayload('reconcile', { rows: [{ kind: 'lease' }] })).toThrow();
    expect(() => readPayload('reconcile', { rows: [] })).toThrow();
    expect(() => readPayload('sync-offers', null)).toThrow();
  });
});

describe('JobHandlers', () => {
  const nothing = async (): Promise<void> => undefined;

  it('refuses two handlers for one job', () => {
    expect(() => new JobHandlers().on('reconcile', nothing).on('reconcile', nothing)).toThrow(
      'The job reconcile has two handlers',
    );
  });

  it('needs one for every job of the roles, and only of those', () => {
    const handlers = new JobHandlers().on('reconcile', nothing);
    handlers.assertComplete(['reconcile']);
    handlers.assertComplete(['billing']);
    expect(() => handlers.assertComplete(['reconcile', 'sweep'])).toThrow(/No handler for the job sync-offers/);
  });
});

describe('MemoryWakeQueue', () => {
  it('drives a row once for many wake-ups, and again when woken meanwhile', async () => {
    const queue = new MemoryWakeQueue();
    await queue.wake('lease', 'a');
    await queue.wake('lease', 'a');
    await queue.wake('lease', 'b');
    const driven: string[] = [];
    const runs = await queue.runDue(async (kind, id) => {
      driven.push(id);
      if (driven.length === 1) await queue.wake(kind, id);
    });
    expect(driven).toEqual(['a', 'b', 'a']);
    expect(runs).toBe(3);
  });

  it('loses everything when it is emptied', async () => {
    const queue = new MemoryWakeQueue();
    await queue.wake('lease', 'a');
    queue.take();
    await queue.wake('lease', 'a');
    await queue.wake('lease', 'b');
    queue.empty();
    queue.finished('lease', 'a');
    expect(queue.take()).toBeNull();
  });

  it('never gives a row that is being driven, and drives every row after its last wake-up', async () => {
    const command = fc.oneof(
      fc.record({ do: fc.constant('wake' as const), id: fc.constantFrom('a', 'b', 'c') }),
      fc.record({ do: fc.constant('take' as const) }),
      fc.record({ do: fc.constant('finish' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 60 }), async (commands) => {
        const queue = new MemoryWakeQueue();
        const running: string[] = [];
        const owed = new Set<string>();
        const take = (): boolean => {
          const row = queue.take();
          if (!row) return false;
          expect(running).not.toContain(row.id);
          running.push(row.id);
          owed.delete(row.id);
          return true;
        };
        for (const step of commands) {
          if (step.do === 'wake') {
            await queue.wake('row', step.id);
            owed.add(step.id);
          } else if (step.do === 'take') take();
          else {
            const id = running.shift();
            if (id !== undefined) queue.finished('row', id);
          }
        }
        for (const id of running.splice(0)) queue.finished('row', id);
        while (take());
        expect([...owed]).toEqual([]);
      }),
    );
  });
});
