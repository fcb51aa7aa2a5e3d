import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createJobSchema, workloadSchema, type WorkloadInput } from '#contracts';
import { HOUR, MINUTE } from '#kernel';
import type { LeaseRow } from '#compute/leases';
import { WORKER } from '#platform/database';
import { events } from '#platform/reconcile';
import type { FaultRule } from '#adapters/sandbox-cloud';
import { cpuSku, openWorld, type World } from '#testing/world';
import { nextJobAction } from '../decide.js';
import { atRiskS, deadlineAt, safeUntil, workLeft } from './deadline.js';
import type { JobFallback } from '../jobs.table.js';
import type { JobRow } from '../index.js';
import { jobWith, NOW } from '../jobs.fixture.js';

const fallback: JobFallback = { offerId: 'o', name: 'cpu in eu', startS: 600, workS: 3_600, shardsLeft: 4 };
const withDeadline = (deadlineS: number, over: WorkloadInput = {}): JobRow['workload'] =>
  workloadSchema.parse({ ...over, constraints: { ...over.constraints, deadlineS } });

describe('the last safe moment', () => {
  const job = (over: Partial<JobRow> = {}): JobRow =>
    jobWith({ workload: withDeadline(3 * 3_600), fallback, shardsTotal: 4, ...over });

  it('is the deadline less the start and the work on the machine that is not taken away', () => {
    expect(deadlineAt(job())).toBe(NOW + 3 * HOUR);
    expect(safeUntil(job())).toBe(NOW + 3 * HOUR - 70 * MINUTE);
  });

  it('moves on as shards get done, from what was left when the machine was chosen', () => {
    expect(safeUntil(job({ shardsDone: 1, shardsFailed: 1 }))).toBe(NOW + 3 * HOUR - 40 * MINUTE);
    const later = { ...fallback, shardsLeft: 2, workS: 1_800 };
    expect(safeUntil(job({ shardsDone: 3, fallback: later }))).toBe(NOW + 3 * HOUR - 25 * MINUTE);
  });

  it('is no matter without a deadline, or on a machine that is not taken away', () => {
    expect(safeUntil(job({ fallback: null }))).toBeNull();
    expect(safeUntil(job({ workload: workloadSchema.parse({}) }))).toBeNull();
  });

  it('puts all of a command at risk, and a checkpoint of a batch', () => {
    const workload = workloadSchema.parse({ checkpointS: 77 });
    expect(atRiskS(jobWith({ workload }))).toBe(77);
    expect(atRiskS(jobWith({ workload, kind: 'command' }))).toBe(Infinity);
  });
});

describe('what is left to place', () => {
  it('shrinks with the shards that are done and with time', () => {
    const of = (work: WorkloadInput['work']): JobRow['workload']['work'] =>
      workLeft(jobWith({ workload: withDeadline(100, { work }), shardsTotal: 4, shardsDone: 3 }), NOW).work;
    expect(of({ kind: 'wall-hours', hours: 8 })).toEqual({ kind: 'wall-hours', hours: 2 });
    expect(of({ kind: 'gpu-hours', hours: 4, reference: 'T4' })).toMatchObject({ hours: 1 });
    expect(of({ kind: 'tokens', inputTokens: 40, outputTokens: 8, parametersB: 7 })).toMatchObject({
      inputTokens: 10,
      outputTokens: 2,
    });
    const job = jobWith({ workload: withDeadline(100) });
    expect(workLeft(job, NOW + 40_000).constraints.deadlineS).toBe(60);
    expect(workLeft(job, NOW + 400_000).constraints.deadlineS).toBe(1);
  });

  it('is the workload itself at the beginning, when nothing is to be done by any time', () => {
    const job = jobWith();
    expect(workLeft(job, NOW + HOUR)).toEqual(job.workload);
  });

  it('leaves out what may be taken away once the job was moved, unless the tenant wants nothing else', () => {
    const pricing = (given: WorkloadInput['constraints']): readonly string[] | undefined =>
      workLeft(jobWith({ workload: workloadSchema.parse({ constraints: given }), steadyOnly: true }), NOW).constraints
        .pricing;
    expect(pricing({})).toEqual(['on-demand', 'reserved-1y', 'reserved-3y']);
    expect(pricing({ pricing: ['spot', 'on-demand'] })).toEqual(['on-demand']);
    expect(pricing({ pricing: ['spot'] })).toEqual(['spot']);
  });
});

const spotSku = { ...cpuSku, name: 'cpu-4x-spot', pricing: 'spot', priceUsdPerHour: '0.10' } as const;

/** A world whose machines need an hour for the work, in four shards (a command: in one). */
async function hourOfWork(of: {
  deadlineS: number;
  kind?: 'command' | 'batch';
  faults?: readonly FaultRule[];
  preemptionsPerHour?: number;
  seed?: number;
  maxCost?: string;
  /** Machines that may be taken away get nothing done. */
  stuckOnSpot?: boolean;
}): Promise<{ world: World; job: () => Promise<JobRow>; told: () => Promise<string[]> }> {
  const world = await openWorld({
    skus: [cpuSku, { ...spotSku, preemptionsPerHour: of.preemptionsPerHour ?? 0 }],
    faults: of.faults ?? [],
    seed: of.seed ?? 1,
  });
  const shards = of.kind === 'command' ? 1 : 4;
  const { work } = world.broker;
  const desired = work.desired.bind(work);
  const since = new Map<string, number>();
  const handed = new Map<string, number>();
  work.desired = async (sight, capacity, known) => {
    const lease = (await sight.leases())[0];
    const machine = lease?.id ?? '';
    if (of.stuckOnSpot && lease?.offer.pricing === 'spot') return [];
    const from = since.get(machine) ?? world.clock.now();
    since.set(machine, from);
    const done = handed.get(machine) ?? 0;
    if (known.size > 0 || (world.clock.now() - from) / HOUR < (done + 1) / shards) return [];
    handed.set(machine, done + 1);
    return desired(sight, Math.min(1, capacity), known);
  };
  await world.credit('25');
  const workload = withDeadline(of.deadlineS, {
    work: { kind: 'wall-hours', hours: 1 },
    checkpointS: 900,
    objective: 'cheapest',
  });
  const spec =
    of.kind === 'command'
      ? { kind: 'command', command: ['true'] }
      : {
          kind: 'batch-inference',
          model: 'universal-sentence-encoder',
          inputArtifactId: await world.upload(4),
          linesPerShard: 1,
        };
  const { id } = await world.broker.jobs.submit({
    organizationId: world.organizationId,
    projectId: world.projectId,
    actor: WORKER,
    request: createJobSchema.parse({
      spec,
      workload,
      timeoutS: 86_400,
      ...(of.maxCost ? { maxCost: of.maxCost } : {}),
    }),
  });
  return {
    world,
    job: () => world.broker.jobs.get(WORKER, id),
    told: () =>
      world.store.transaction(WORKER, async (tx) =>
        (await tx.find(events, { subjectId: id }, { orderBy: [['n', 'asc']] })).map(
          (e) => `${e.toState}: ${e.message}`,
        ),
      ),
  };
}

/** Lets time pass until the job has ended, at most so long. */
async function ended(s: Awaited<ReturnType<typeof hourOfWork>>, mostMs: number): Promise<JobRow> {
  for (let t = 0; t < mostMs; t += 5 * MINUTE) {
    await s.world.run(5 * MINUTE, 5_000);
    const job = await s.job();
    if (job.endedAt !== null) return job;
  }
  return s.job();
}
const finishedInTime = (job: JobRow): boolean =>
  job.state === 'succeeded' && (job.endedAt ?? Infinity) <= (deadlineAt(job) ?? -1);

describe('a job with a deadline', () => {
  it('runs on the machine that may be taken away while there is time for another', async () => {
    const s = await hourOfWork({ deadlineS: 4 * 3_600 });
    await s.world.run(MINUTE, 5_000);
    expect((await s.told())[1]).toMatch(
      /^starting: renting cpu-4x-spot in eu-test-1; at \S+ at the latest on cpu-4x in eu-test-1$/,
    );
    const job = await ended(s, 4 * HOUR);
    expect(finishedInTime(job)).toBe(true);
    expect((await s.told()).filter((line) => line.startsWith('starting'))).toHaveLength(1);
  });

  it('begins on demand when there is no time to lose', async () => {
    const s = await hourOfWork({ deadlineS: 1.4 * 3_600, kind: 'command' });
    await s.world.run(MINUTE, 5_000);
    expect((await s.told())[1]).toBe('starting: renting cpu-4x in eu-test-1');
    expect(finishedInTime(await ended(s, 2 * HOUR))).toBe(true);
  });

  it('moves on demand at the last safe moment, and comes in time', async () => {
    const s = await hourOfWork({ deadlineS: 1.8 * 3_600, stuckOnSpot: true });
    await s.world.run(MINUTE, 5_000);
    expect((await s.told())[1]).toContain('renting cpu-4x-spot');
    const moveAt = safeUntil(await s.job()) ?? NaN;
    const job = await ended(s, 3 * HOUR);
    expect(finishedInTime(job)).toBe(true);
    const moved = (await s.told()).slice(3);
    expect(moved).toEqual([
      'recovering: cpu-4x-spot in eu-test-1: later than this only a machine that is not taken away finishes by the deadline',
      'starting: renting cpu-4x in eu-test-1',
      'running: running on cpu-4x',
      'succeeded: 4 of 4 done',
    ]);
    // Not before it had to: what is left of the time is the start of the other machine and the work.
    expect((job.endedAt ?? 0) - moveAt).toBeGreaterThan(HOUR);
    expect(job.steadyOnly).toBe(true);
  });

  it('stays where it is while there is no machine to move to, says so, and moves when there is', async () => {
    const s = await hourOfWork({ deadlineS: 2.5 * 3_600, stuckOnSpot: true });
    await s.world.run(MINUTE, 5_000);
    const first = await s.job();
    const moveAt = safeUntil(first) ?? NaN;
    const { placements } = s.world.broker;
    const place = placements.place.bind(placements);
    placements.place = async (tx, request) => ({ ...(await place(tx, request)), best: null, why: 'sold out' });
    await s.world.run(moveAt + 5 * MINUTE - s.world.clock.now(), 5_000);
    expect(await s.job()).toMatchObject({
      state: 'running',
      leaseId: first.leaseId,
      reason: 'stays on a machine that may be taken away: sold out',
    });
    placements.place = async (tx, request) => ({ ...(await place(tx, request)), isLate: false });
    expect((await ended(s, 3 * HOUR)).state).toBe('succeeded');
    expect(await s.told()).toContain('starting: renting cpu-4x in eu-test-1');
  });

  it('does not begin a command again that has run for as long as it was said to take', () => {
    const job = jobWith({
      kind: 'command',
      state: 'running',
      leaseId: 'lease_1',
      workload: withDeadline(60),
      fallback,
      shardsTotal: 1,
    });
    const after = (ms: number): string => {
      const lease = { id: 'lease_1', state: 'ready', jobId: 'job_1', offer: { pricing: 'spot' }, acceptedAt: NOW - ms };
      return nextJobAction(job, lease as LeaseRow, NOW).do;
    };
    expect([after(HOUR - 1), after(HOUR)]).toEqual(['move', 'rest']);
  });

  it('keeps what is done when it moves: the shards that are left, and their deadline', async () => {
    const gone = { point: 'machine', kind: 'preemption', occurrence: 1, arg: 40 * MINUTE, noticeMs: 20_000 } as const;
    const s = await hourOfWork({ deadlineS: 2 * 3_600, faults: [gone] });
    const job = await ended(s, 3 * HOUR);
    expect(finishedInTime(job)).toBe(true);
    expect(job.leaseTries).toBe(2);
    expect(job.shardsDone).toBe(4);
    // Forty minutes on the first machine, two shards of it done; the rest takes half an hour.
    expect((job.endedAt ?? Infinity) - job.createdAt).toBeLessThan(100 * MINUTE);
  });

  it('that cannot be met is said to be late, and the work is done all the same', async () => {
    const s = await hourOfWork({ deadlineS: 1_800, maxCost: '5000000000' });
    await s.world.run(MINUTE, 5_000);
    expect((await s.told())[1]).toMatch(/^starting: renting \S+ in eu-test-1; it will probably be late$/);
    expect((await ended(s, 3 * HOUR)).state).toBe('succeeded');
  });

  it('holds what both machines can cost', async () => {
    const cap = async (deadlineS: number): Promise<bigint> => (await (await hourOfWork({ deadlineS })).job()).capNano;
    const [onDemand, both] = [await cap(1.25 * 3_600), await cap(4 * 3_600)];
    expect(both).toBeGreaterThan(onDemand / 3n + 1n);
  });

  it('is never late, however often machines are taken away', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('batch' as const, 'command' as const),
        fc.constantFrom(0.5, 2, 6),
        fc.constantFrom(1.35, 1.6, 2, 3),
        fc.integer({ min: 1, max: 1_000 }),
        async (kind, preemptionsPerHour, ratio, seed) => {
          const s = await hourOfWork({ kind, preemptionsPerHour, seed, deadlineS: ratio * 3_600 });
          const job = await ended(s, (ratio + 1) * HOUR);
          const told = (await s.told()).join('\n');
          if (!told.includes('it will probably be late') && !finishedInTime(job)) throw new Error(told);
          expect(s.world.failures).toEqual([]);
        },
      ),
      { numRuns: 12 },
    );
  });
});
