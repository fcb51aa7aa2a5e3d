import { Readable } from 'node:stream';
import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { DomainError } from '#kernel';
import { enrolRequestSchema, enrolResponseSchema, idOf, syncRequestSchema, syncResponseSchema } from '#contracts';
import { WORKER, type Bell, type Store } from '#platform/database';
import { Agents } from '#compute/agents';
import { artifacts, Artifacts } from '#compute/artifacts';
import { JobWork, outputKey, resultKey } from '#work/jobs';
import type { Broker } from '#broker';
import type { Ground } from '../ground.js';
import { queryInt } from '../http/query-types.js';
import { route, type Call } from '../http/route.js';
import { Serve } from '../http/serve.js';
import { Stopping } from '../http/stopping.js';
import { GROUND } from '../services.js';
import { BELL, BROKER, STORE } from '../tokens.js';

const tag = 'Agents';
const SYNC_BODY_BYTES = 8 << 20;
const workId = idOf('shard');

const enrol = route({
  method: 'POST',
  path: '/agent/v1/enroll',
  tag,
  name: 'enrolAgent',
  summary: 'Trade a one-time token for a credential',
  access: 'public',
  body: enrolRequestSchema,
  returns: enrolResponseSchema,
});

const sync = route({
  method: 'POST',
  path: '/agent/v1/sync',
  tag,
  name: 'syncAgent',
  summary: 'Report, and get the desired work (long poll)',
  access: 'agent',
  body: syncRequestSchema,
  maxBodyBytes: SYNC_BODY_BYTES,
  returns: syncResponseSchema,
});

const input = route({
  method: 'GET',
  path: '/agent/v1/inputs/{workId}',
  tag,
  name: 'readWorkInput',
  summary: 'Read the input lines of assigned work',
  access: 'agent',
  params: z.strictObject({ workId }),
  returns: { bytes: 'application/x-ndjson' },
});

const artifact = route({
  method: 'GET',
  path: '/agent/v1/artifacts/{id}',
  tag,
  name: 'readWorkArtifact',
  summary: 'Read an input file of assigned work',
  access: 'agent',
  params: z.strictObject({ id: idOf('artifact') }),
  query: z.strictObject({ workId: workId.optional() }),
  returns: { bytes: 'application/octet-stream' },
});

const fence = z
  .string()
  .regex(/^\d{1,9}$/)
  .transform(Number);

const result = route({
  method: 'PUT',
  path: '/agent/v1/results/{workId}/{fence}',
  tag,
  name: 'putWorkResult',
  summary: 'Store the result lines of assigned work',
  access: 'agent',
  params: z.strictObject({ workId, fence }),
  upload: true,
  returns: 'nothing',
});

const output = route({
  method: 'PUT',
  path: '/agent/v1/outputs/{workId}/{fence}',
  tag,
  name: 'putWorkOutput',
  summary: 'Store a file that a command left',
  access: 'agent',
  params: z.strictObject({ workId, fence }),
  query: z.strictObject({ path: z.string().min(1).max(500), bytes: queryInt(0, 2 ** 40).optional() }),
  upload: true,
  returns: 'nothing',
});

/** The agent protocol. An agent's authority is its own leases' work; everything else is refused in the services. */
@Controller()
export class AgentController {
  constructor(
    private readonly agents: Agents,
    private readonly work: JobWork,
    private readonly files: Artifacts,
    @Inject(STORE) private readonly store: Store,
    @Inject(BELL) private readonly bell: Bell,
    @Inject(BROKER) private readonly broker: Broker,
    @Inject(GROUND) private readonly ground: Ground,
    @Inject(Stopping) private readonly stopping: Stopping,
  ) {}

  @Serve(enrol)
  async enrol({ body }: Call<typeof enrol>) {
    const { agentId, credential } = await this.agents.enrol(body.token, body.facts, (tx, agent) =>
      this.broker.onEnrolled(tx, agent),
    );
    return { agentId, credential, pollMs: this.ground.config.agentPollMs };
  }

  @Serve(sync)
  sync({ agent, body, signal }: Call<typeof sync>) {
    return this.agents.sync(agent, body, this.work, {
      memory: this.bell,
      wait: async (id, ms) => {
        await this.bell.wait(id, Math.min(ms, 2_000), signal);
        if (this.stopping.signal.aborted) return 'stop';
        // A poll whose agent has gone would otherwise look again and again without waiting.
        signal.throwIfAborted();
        return 'look';
      },
    });
  }

  @Serve(input)
  async input({ agent, params }: Call<typeof input>) {
    const { shard, job } = await this.work.authorize(agent, params.workId, null);
    const { spec } = job;
    if (spec.kind !== 'batch-inference') throw new DomainError('conflict', 'no-input', 'A command has no input lines.');
    const row = await this.store.transaction(WORKER, (tx) =>
      tx.first(artifacts, { id: spec.inputArtifactId, deletedAt: { isNull: true } }),
    );
    if (!row) throw new DomainError('conflict', 'no-input', 'The input is gone.');
    return { stream: Readable.from(await this.files.objects.getRange(row.objectKey, shard.byteFrom, shard.byteTo)) };
  }

  /** Only files that work assigned to this agent names. */
  @Serve(artifact)
  async artifact({ agent, params }: Call<typeof artifact>) {
    const assigned = await this.work.assignedTo(agent);
    const allowed = assigned.some(
      ({ spec }) => spec.kind === 'command' && spec.inputs.some((i) => i.artifactId === params.id),
    );
    const row = allowed
      ? await this.store.transaction(WORKER, (tx) =>
          tx.first(artifacts, { id: params.id, deletedAt: { isNull: true } }),
        )
      : null;
    if (!row) throw new DomainError('not-found', 'not-found', `There is no artifact ${params.id} here.`);
    return { stream: Readable.from(await this.files.objects.get(row.objectKey)), bytes: row.bytes };
  }

  @Serve(result)
  async result({ agent, params, upload }: Call<typeof result>) {
    const { shard } = await this.work.authorize(agent, params.workId, params.fence);
    await this.files.objects.put(resultKey(shard, params.fence), upload);
  }

  @Serve(output)
  async output({ agent, params, query, upload }: Call<typeof output>) {
    const { shard, job } = await this.work.authorize(agent, params.workId, params.fence);
    if (job.spec.kind !== 'command' || !job.spec.outputs.includes(query.path))
      throw new DomainError('conflict', 'not-an-output', 'This file is not one of the job’s outputs.');
    await this.files.objects.put(outputKey(shard, params.fence, query.path), upload);
  }
}
