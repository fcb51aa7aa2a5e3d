import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createJobSchema, workloadSchema, type CreateJobInput } from '#contracts';
import { usd, type DomainError } from '#kernel';
import { MemoryStore, WORKER, type Actor } from '#platform/database';
import { events } from '#platform/reconcile';
import { agents } from '#compute/agents';
import { burn } from '#compute/leases';
import { holds } from '#money/quotas';
import { chargePerHour } from '#money/rating';
import { openWorld, type World } from '#testing/world';
import { jobs, shards } from './jobs.table.js';

let world: World;
let store: MemoryStore;
let artifactId: string;

beforeEach(async () => {
  world = await openWorld();
  store = world.store as MemoryStore;
  artifactId = await world.upload(100);
});

const batch = (over: object = {}): CreateJobInput => ({
  spec: { kind: 'batch-inference', model: 'universal-sentence-encoder', inputArtifactId: artifactId as never, ...over },
});
const submission = (input: CreateJobInput, over: object = {}) => {
  const { organizationId, projectId } = world;
  return { organizationId, projectId, actor: WORKER, request: createJobSchema.parse(input), ...over };
};
const submit = (input: CreateJobInput, over: object = {}) => world.broker.jobs.submit(submission(input, over));
const refusal = (input: CreateJobInput, over: object = {}): Promise<DomainError> =>
  submit(input, over).then(
    () => Promise.reject(new Error('the job was taken')),
    (error: DomainError) => error,
  );
const nothingWritten = () =>
  [jobs, shards, holds, events].forEach((t) => expect(store.rows<object>(t as never)).toEqual([]));

describe('submitting', () => {
  it('sets the cap aside and writes job, shards and event together, then wakes', async () => {
    await world.credit('1');
    const job = await submit({ ...batch({ linesPerShard: 30 }), maxCost: '400000000', labels: { a: 'b' } });
    expect(job).toMatchObject({
      state: 'queued',
      capNano: usd('0.4'),
      shardsTotal: 4,
      linesTotal: 100,
      labels: { a: 'b' },
    });
    expect(store.rows(holds)).toMatchObject([
      { id: job.holdId, jobId: job.id, state: 'held', remainingNano: usd('0.4') },
    ]);
    expect(store.rows(shards).map((s) => [s.n, s.lineFrom, s.lineTo, s.state])).toEqual([
      [0, 0, 30, 'pending'],
      [1, 30, 60, 'pending'],
      [2, 60, 90, 'pending'],
      [3, 90, 100, 'pending'],
    ]);
    expect(store.rows(events)).toMatchObject([{ subjectId: job.id, n: 1, type: 'job.queued' }]);
  });

  it('without credit is refused with what is needed, there and missing', async () => {
    await world.credit('1');
    const error = await refusal({ ...batch(), maxCost: '2500000000' });
    expect([error.kind, error.code]).toEqual(['payment-required', 'insufficient-credit']);
    expect(error.details.facts).toEqual({
      neededNano: '2500000000',
      availableNano: '1000000000',
      missingNano: '1500000000',
    });
    nothingWritten();
  });

  it('counts what other jobs have set aside', async () => {
    await world.credit('1');
    await submit({ ...batch(), maxCost: '600000000' });
    expect((await refusal({ ...batch(), maxCost: '600000000' })).details.facts).toMatchObject({
      missingNano: '200000000',
    });
  });

  it('never holds more than there is, however many submit at once', async () => {
    await world.credit('1');
    const all = await Promise.allSettled(
      Array.from({ length: 20 }, () => submit({ ...batch(), maxCost: '300000000' })),
    );
    expect(all.filter((a) => a.status === 'fulfilled')).toHaveLength(3);
    expect(store.rows(jobs)).toHaveLength(3);
  });

  it('at the same time shares transactions, and each is taken or refused by itself', async () => {
    await world.credit('1');
    const transactions = jest.spyOn(store, 'transaction');
    const also = (n: number) => (n === 3 ? () => Promise.reject(new Error('taken over')) : () => Promise.resolve());
    const caps = ['100000000', '5000000000', '200000000', '300000000', '400000000'];
    const command: CreateJobInput = { spec: { kind: 'command', command: ['true'] } };
    const asked = caps.map((maxCost, n) => world.broker.jobs.submit(submission({ ...command, maxCost }), also(n)));
    const outcomes = (await Promise.allSettled(asked)).map((a) =>
      a.status === 'fulfilled' ? a.value.capNano : (a.reason as Error).message.split(' and ')[0],
    );
    expect(outcomes).toEqual([usd('0.1'), 'This needs $5.00 set aside', usd('0.2'), 'taken over', usd('0.4')]);
    expect(store.rows(jobs).map((j) => j.capNano)).toEqual([usd('0.1'), usd('0.2'), usd('0.4')]);
    expect(store.rows(holds).reduce((n, h) => n + h.remainingNano, 0n)).toBe(usd('0.7'));
    // One for the first, one for those that came meanwhile, which one of them undid, and one for each of the four again.
    expect(transactions).toHaveBeenCalledTimes(1 + 1 + 4);
  });

  it('is refused when its file is deleted while it is planned', async () => {
    await world.credit('5');
    const { artifacts, placements, jobs: room } = world.broker;
    const estimate = placements.estimate.bind(placements);
    let gone = artifactId;
    placements.estimate = async (request) => {
      await artifacts.remove(WORKER, gone);
      return estimate(request);
    };
    const error = await refusal(batch());
    expect([error.code, error.details.field]).toEqual(['unknown-artifact', 'spec.inputArtifactId']);
    gone = artifactId = await world.upload(3);
    const { request, ...of } = submission(batch());
    await expect(room.submitMany(of, [request])).rejects.toMatchObject({ code: 'unknown-artifact' });
    nothingWritten();
  });

  it('is undone when what belongs to it fails', async () => {
    await world.credit('1');
    const also = () => Promise.reject(new Error('taken over'));
    await expect(world.broker.jobs.submit(submission({ ...batch(), maxCost: '1000' }), also)).rejects.toThrow(
      'taken over',
    );
    nothingWritten();
  });
});

describe('submitting many', () => {
  const submitMany = (inputs: readonly CreateJobInput[]) => {
    const { request: _, ...of } = submission(batch());
    return world.broker.jobs.submitMany(
      of,
      inputs.map((input) => createJobSchema.parse(input)),
    );
  };
  const refusalOf = (inputs: readonly CreateJobInput[]): Promise<DomainError> =>
    submitMany(inputs).then(
      () => Promise.reject(new Error('the jobs were taken')),
      (error: DomainError) => error,
    );

  it('sets their caps aside with one hold, and each ends by itself', async () => {
    await world.credit('1');
    const [first, second] = await submitMany([
      { ...batch({ linesPerShard: 50 }), maxCost: '400000000' },
      { spec: { kind: 'command', command: ['true'] }, maxCost: '600000000' },
    ]);
    if (!first || !second) throw new Error('two were asked for');
    expect(store.rows(jobs)).toEqual([first, second]);
    expect(store.rows(shards).map((s) => s.jobId)).toEqual([first.id, first.id, second.id]);
    expect(store.rows(events).map((e) => [e.subjectId, e.type])).toEqual([
      [first.id, 'job.queued'],
      [second.id, 'job.queued'],
    ]);
    const [whole, ...parts] = store.rows(holds);
    expect(whole).toMatchObject({ state: 'settled', amountNano: usd('1'), remainingNano: 0n, parentId: null });
    expect(parts.map((p) => [p.id, p.parentId, p.jobId, p.remainingNano])).toEqual([
      [first.holdId, whole?.id, first.id, usd('0.4')],
      [second.holdId, whole?.id, second.id, usd('0.6')],
    ]);
    await world.broker.jobs.cancel(WORKER, first.id);
    await world.run(5_000);
    expect((await world.broker.jobs.get(WORKER, first.id)).state).toBe('cancelled');
    // What the first does not need any more is there for another one.
    expect((await submit({ ...batch(), maxCost: '400000000' })).state).toBe('queued');
  });

  it('takes none of them when one is wrong, and names it', async () => {
    await world.credit('1');
    const good = { ...batch(), maxCost: '1000' };
    const missing = { ...batch({ inputArtifactId: 'art_00000000000000000000000000' }), maxCost: '1000' };
    expect(await refusalOf([good, good, missing, good])).toMatchObject({
      code: 'unknown-artifact',
      details: { field: 'jobs.2.spec.inputArtifactId' },
    });
    expect((await refusalOf([good, { ...good, maxCost: '0' }])).details.field).toBe('jobs.1.maxCost');
    expect(
      (await refusalOf([good, { ...batch(), workload: { accelerator: { count: 1, models: ['H100'] } } }])).details
        .field,
    ).toBe('jobs.1');
    nothingWritten();
  });

  it('takes none of them when the credit does not cover all', async () => {
    await world.credit('1');
    const job = { ...batch(), maxCost: '400000000' };
    expect((await refusalOf([job, job, job])).details.facts).toMatchObject({
      neededNano: '1200000000',
      missingNano: '200000000',
    });
    nothingWritten();
  });
});

describe('the cap', () => {
  const preview = (input: CreateJobInput) => world.broker.jobs.dryRun(submission(input));
  // The one offer of the specs' cloud costs $0.40 an hour, with 10 % margin.
  const rate = chargePerHour(usd('0.40'), 1_000);

  it('covers at least the first 15 minutes of the best offer', async () => {
    const { placements } = world.broker;
    const estimate = placements.estimate.bind(placements);
    placements.estimate = async (request) => ({ ...(await estimate(request)), expectedS: 300 }) as never;
    const { capNano, lines, shards: n } = await preview(batch());
    expect([lines, n, capNano]).toEqual([100, 34, burn(rate, 15 * 60_000)]);
    placements.estimate = async (request) => ({ ...(await estimate(request)), expectedS: 301 }) as never;
    expect((await preview(batch())).capNano).toBe(burn(rate, 3 * 301_000));
  });

  it('is three times what the best offer is expected to take', async () => {
    const workload = { work: { kind: 'wall-hours' as const, hours: 10 } };
    const { capNano } = await preview({ ...batch(), workload });
    const estimate = await world.broker.placements.estimate({
      projectId: world.projectId,
      workload: workloadSchema.parse(workload),
    });
    if (!('expectedS' in estimate)) throw new Error('no estimate');
    expect(estimate.expectedS).toBeGreaterThan(36_000);
    expect(capNano).toBe(burn(rate, Math.ceil(estimate.expectedS * 1_000) * 3));
  });

  it('estimates a batch from its lines and a command from what was said', async () => {
    expect((await preview(batch())).workload).toMatchObject({ work: { kind: 'wall-hours', hours: 1 / 3_600 } });
    const workload = { work: { kind: 'wall-hours' as const, hours: 2 } };
    expect((await preview({ ...batch(), workload })).workload.work).toEqual(workload.work);
    expect((await preview({ spec: { kind: 'command', command: ['x'] } })).workload.work).toEqual({
      kind: 'wall-hours',
      hours: 1,
    });
  });

  it.each(['0', '-5'])('of %s is refused', async (maxCost) => {
    expect(await refusal({ ...batch(), maxCost })).toMatchObject({
      code: 'cap-not-positive',
      details: { field: 'maxCost' },
    });
  });

  it('without which nothing can be said when nothing fits: 422 with what would help', async () => {
    const workload = { accelerator: { count: 1, models: ['H100'] } };
    const error = await refusal({ ...batch(), workload });
    expect([error.kind, error.code, error.details.retryable]).toEqual(['unprocessable', 'nothing-fits', true]);
    expect(error.message).toContain('1 offers looked at, none fits (1 by accelerator)');
    expect(error.details.fix).toMatch(/Give maxCost to queue the job until capacity appears\.$/);
    await world.credit('1');
    expect((await submit({ ...batch(), workload, maxCost: '1000' })).state).toBe('queued');
  });
});

describe('what a job names', () => {
  it('must be a file that is there', async () => {
    const missing = 'art_00000000000000000000000000' as never;
    expect(await refusal(batch({ inputArtifactId: missing }))).toMatchObject({
      kind: 'invalid',
      code: 'unknown-artifact',
      details: { field: 'spec.inputArtifactId' },
    });
    const inputs = [
      { path: 'a', artifactId: artifactId as never },
      { path: 'b', artifactId: missing },
    ];
    expect(await refusal({ spec: { kind: 'command', command: ['x'], inputs }, maxCost: '1' })).toMatchObject({
      code: 'unknown-artifact',
      details: { field: 'spec.inputs.1.artifactId' },
    });
    nothingWritten();
  });

  it.each<[string, object]>([
    ['project', { projectId: 'prj_other' }],
    ['organization', { organizationId: 'org_other' }],
  ])('must be a file of its own %s, whoever asks', async (_, over) => {
    expect(await refusal(batch(), over)).toMatchObject({ code: 'unknown-artifact' });
    const inputs = [{ path: 'a', artifactId: artifactId as never }];
    expect(await refusal({ spec: { kind: 'command', command: ['x'], inputs } }, over)).toMatchObject({
      code: 'unknown-artifact',
    });
  });

  it('must be a model that somebody serves', async () => {
    const error = await refusal(batch({ model: 'brought-along' }));
    expect([error.code, error.details.field]).toEqual(['unknown-model', 'spec.model']);
    expect(error.details.fix).toContain('universal-sentence-encoder, tiny-llama-seeded');
  });

  it('may be a model of a registered host, and never one of a rented machine', async () => {
    const served = async (kind: 'host' | 'lease') =>
      store.transaction(WORKER, async (tx) => {
        const { agent } = await world.broker.agents.invite(tx, { organizationId: 'org_other', hostId: 'host_1' });
        const facts = { engines: ['embedded/brought-along'] } as never;
        await tx.update(agents, { id: agent.id }, { kind, state: 'enrolled', facts });
      });
    await served('lease');
    expect((await refusal(batch({ model: 'brought-along' }))).code).toBe('unknown-model');
    await served('host');
    // Known now; the input asks for another one.
    expect((await refusal(batch({ model: 'brought-along' }))).code).toBe('invalid-batch-line');
  });
});

describe('a job', () => {
  it('is found by its own organization and project only, by the repository alone', async () => {
    await world.credit('1');
    const { id } = await submit({ ...batch(), maxCost: '1000' });
    const { organizationId, projectId } = world;
    const as = (organization: string, projectIds: readonly string[] | 'all'): Actor => ({
      as: 'tenant',
      organizationId: organization,
      projectIds,
    });
    for (const actor of [as('org_other', 'all'), as(organizationId, ['prj_other']), as(organizationId, [])]) {
      await expect(world.broker.jobs.get(actor, id)).rejects.toMatchObject({ kind: 'not-found' });
      await expect(world.broker.jobs.cancel(actor, id)).rejects.toMatchObject({ kind: 'not-found' });
    }
    expect((await world.broker.jobs.get(as(organizationId, [projectId]), id)).id).toBe(id);
  });

  it('is cancelled once, and an ended one not at all', async () => {
    await world.credit('1');
    const { id } = await submit({ ...batch(), maxCost: '1000000' });
    const first = await world.broker.jobs.cancel(WORKER, id);
    world.clock.advance(1_000);
    expect(await world.broker.jobs.cancel(WORKER, id)).toEqual(first);
    await world.run(5_000);
    const ended = await world.broker.jobs.get(WORKER, id);
    expect(ended.state).toBe('cancelled');
    expect(await world.broker.jobs.cancel(WORKER, id)).toEqual(ended);
  });
});
