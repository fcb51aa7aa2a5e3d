import { Agent, request } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'pg';
import { MINUTE, systemClock, systemRandom } from '#kernel';
import { openBroker } from '#broker';
import { readConfig } from '#platform/config';
import { foldUsage, payloadHash, readEvent, type UsageEvent } from '#money/metering';
import { postgresCpuMs } from './holds.js';
import { createApi } from '../../../apps/api/create-api.js';

export interface IngestContext {
  readonly ownerUrl: string;
  readonly secret: string;
  readonly quick?: boolean;
}

export interface IngestResult {
  readonly ingestPerSecond: number;
  /** The same events into two plain tables by one statement for each batch: no HTTP, no JSON, no checks, no policies, no partitions. */
  readonly rawPerSecond: number;
  readonly ratioToRawSql: number;
  /** CPU time of one event: of this process (API and client) and of PostgreSQL; and of PostgreSQL alone for the raw rows. */
  readonly nodeUs: number;
  readonly postgresUs: number;
  readonly rawPostgresUs: number;
}

const BATCH = 500;
const CLIENTS = 6;
const PROJECTS = 3;
const MODELS = ['llama-3.3-70b', 'qwen3-32b', 'gemma-3-27b', 'mistral-small'];
const METERS = ['input-tokens', 'cached-tokens', 'output-tokens', 'requests'];
/** One event in so many was sent before. */
const REPEATED = 20;
const FOLD_EVERY_MS = 10_000;

/** Usage events through the whole API over HTTP, beside what PostgreSQL does with the same when it is asked directly. */
export async function run({ ownerUrl, secret, quick = false }: IngestContext): Promise<IngestResult> {
  const home = await mkdtemp(join(tmpdir(), 'berth-ingest-'));
  const config = readConfig({
    DATABASE_URL: ownerUrl,
    BERTH_SECRET: secret,
    BERTH_HOME: home,
    RATE_LIMIT_PER_MINUTE: '1000000',
    LOG_LEVEL: 'silent',
  });
  const open = await openBroker(config, 'api');
  const app = await createApi({ ...open, config, clock: systemClock, random: systemRandom, redis: null });
  try {
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.getHttpServer().address() as { port: number };
    const { organization, project, key } = await open.tenancy.createOrganization({
      name: 'ingest',
      kind: 'tenant',
      keyName: 'bench',
    });
    if (!project || !key) throw new Error('a tenant came without project or key');
    const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
    const projects = [project.id];
    for (let i = 1; i < PROJECTS; i++)
      projects.push(
        String((await post(agent, port, key.secret, '/v1/projects', JSON.stringify({ name: `p${i}` })))['id']),
      );

    const warm = eventsOf(projects, 10 * BATCH, 'warm');
    await send(agent, port, key.secret, warm);
    const n = quick ? 20_000 : 150_000;
    const batches = eventsOf(projects, n, 'bench');
    const folding = setInterval(() => void foldUsage(open.store), FOLD_EVERY_MS);
    const pgBefore = await postgresCpuMs(open.store);
    const cpu = process.cpuUsage();
    const began = performance.now();
    const accepted = await send(agent, port, key.secret, batches);
    const seconds = (performance.now() - began) / 1_000;
    const used = process.cpuUsage(cpu);
    const pgUsed = (await postgresCpuMs(open.store)) - pgBefore;
    clearInterval(folding);
    agent.destroy();
    if (accepted !== n - n / REPEATED)
      throw new Error(`${accepted} of ${n} events were new, should be ${n - n / REPEATED}`);
    const rawN = quick ? 20_000 : 100_000;
    const rawBatches = eventsOf(projects, rawN, 'raw');
    const rawBefore = await postgresCpuMs(open.store);
    const rawPerSecond = await raw(ownerUrl, organization.id, rawBatches);
    const rawUsed = (await postgresCpuMs(open.store)) - rawBefore;
    const ingestPerSecond = Math.round(n / seconds);
    return {
      ingestPerSecond,
      rawPerSecond,
      ratioToRawSql: Math.round((ingestPerSecond / rawPerSecond) * 100) / 100,
      nodeUs: round((used.user + used.system) / n),
      postgresUs: round((pgUsed * 1_000) / n),
      rawPostgresUs: round((rawUsed * 1_000) / rawN),
    };
  } finally {
    await app.close();
    await open.close();
    await rm(home, { recursive: true, force: true });
  }
}

const round = (x: number): number => Math.round(x * 10) / 10;

interface Batch {
  readonly events: readonly object[];
  readonly body: Buffer;
}

/** Batches whose last event of every twenty repeats an earlier one of the batch before; times lie within the last hour. */
function eventsOf(projects: readonly string[], n: number, stream: string): Batch[] {
  const now = systemClock.now();
  const made: object[] = [];
  for (let i = 0; i < n; i++) {
    const repeats = i % REPEATED === REPEATED - 1 ? made[Math.max(0, i - BATCH + 7)] : undefined;
    made.push(
      repeats ?? {
        specversion: '1.0',
        id: `${stream}-${((i * 2_654_435_761) >>> 0).toString(16).padStart(8, '0')}-${i}`,
        source: `/gateways/eu-${i % 4}`,
        type: 'com.example.usage',
        time: new Date(now - ((i * 37) % (60 * MINUTE))).toISOString(),
        data: {
          meter: METERS[i % METERS.length],
          quantity: 1 + ((i * 7_919) % 4_000),
          projectId: projects[i % projects.length],
          endpointId: `end_${i % 5}`,
          model: MODELS[i % MODELS.length],
          resource: 'gateway',
        },
      },
    );
  }
  const batches: Batch[] = [];
  for (let i = 0; i < n; i += BATCH) {
    const events = made.slice(i, i + BATCH);
    batches.push({ events, body: Buffer.from(JSON.stringify(events)) });
  }
  return batches;
}

/** Sends all batches by several clients; how many events were accepted. */
async function send(agent: Agent, port: number, secret: string, batches: readonly Batch[]): Promise<number> {
  let next = 0;
  let accepted = 0;
  const client = async (): Promise<void> => {
    for (let batch = batches[next++]; batch; batch = batches[next++]) {
      const receipt = await post(agent, port, secret, '/v1/usage/events', batch.body);
      accepted += Number(receipt['accepted']);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return accepted;
}

function post(
  agent: Agent,
  port: number,
  secret: string,
  path: string,
  body: string | Buffer,
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${secret}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    };
    const sent = request({ agent, host: '127.0.0.1', port, path, method: 'POST', headers }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString();
        if ((answer.statusCode ?? 500) >= 300) reject(new Error(`${path}: ${answer.statusCode} ${text}`));
        else resolve(JSON.parse(text) as Record<string, unknown>);
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const RAW_TABLES = `
drop table if exists raw_usage, raw_events;
create table raw_events (organization_id text, source text, event_id text, payload_hash bytea, primary key (organization_id, source, event_id));
create table raw_usage (id text primary key, organization_id text, project_id text, meter text, endpoint_id text, model text, resource text, at timestamptz, quantity numeric(38, 0));
`;
const RAW_INSERT = `
with given as (select distinct on (source, event_id) * from unnest($2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[],
      $8::text[], $9::text[], $10::timestamptz[], $11::numeric[]) as g (source, event_id, hash, project, meter, endpoint, model, resource, at, quantity)
    order by source, event_id),
  new_ones as (insert into raw_events select $1, source, event_id, hash from given on conflict do nothing returning source, event_id)
insert into raw_usage select event_id, $1, project, meter, endpoint, model, resource, at, quantity from given join new_ones using (source, event_id)`;

/** One statement for each batch, its parameters made beforehand; as many connections as there were clients. */
async function raw(ownerUrl: string, organizationId: string, batches: readonly Batch[]): Promise<number> {
  const pool = new Pool({ connectionString: ownerUrl, max: CLIENTS });
  await pool.query(RAW_TABLES);
  const now = systemClock.now();
  const parameters = batches.map(({ events }) => {
    const read = events.map((e) => readEvent(e, now) as UsageEvent);
    return [
      organizationId,
      read.map((e) => e.source),
      read.map((e) => e.eventId),
      read.map((e) => `\\x${payloadHash(e)}`),
      ...(['projectId', 'meter', 'endpointId', 'model', 'resource'] as const).map((c) => read.map((e) => e[c])),
      read.map((e) => new Date(e.atMs).toISOString()),
      read.map((e) => e.quantity),
    ];
  });
  let next = 0;
  const client = async (): Promise<void> => {
    for (let values = parameters[next++]; values; values = parameters[next++])
      await pool.query({ name: 'raw', text: RAW_INSERT, values });
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: CLIENTS }, client));
  const seconds = (performance.now() - began) / 1_000;
  await pool.query('drop table raw_usage, raw_events');
  await pool.end();
  return Math.round((batches.length * BATCH) / seconds);
}
