import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { openBroker, type OpenBroker } from '#broker';
import { systemClock, systemRandom } from '#kernel';
import { Tenancy } from '#identity/tenancy';
import { readConfig } from '#platform/config';
import { createMetrics, HealthRegistry } from '#platform/observability';
import { testDatabase, type TestDatabase } from '#testing';
import { createApi } from '../create-api.js';
import type { Ground } from '../ground.js';

/** The answer to an injected request, its body parsed. */
export interface TestAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** `{text}` when it is not JSON. */
  readonly body: Json;
}
export type Json = Record<string, unknown>;

export interface TestTenant {
  readonly organizationId: string;
  readonly projectId: string;
  /** An admin key. */
  readonly key: string;
}

/** The whole API on a database of its own, for one spec file. */
export class TestApi {
  private constructor(
    readonly app: NestFastifyApplication,
    readonly ground: Ground,
    readonly platformKey: string,
    private readonly database: TestDatabase,
    private readonly opened: OpenBroker,
    private readonly home: string,
  ) {}

  static async start(over: Partial<Ground> = {}, environment: Record<string, string> = {}): Promise<TestApi> {
    const database = await testDatabase();
    const home = await mkdtemp(join(tmpdir(), 'berth-api-spec-'));
    const config = readConfig({
      DATABASE_URL: database.ownerUrl,
      BERTH_SECRET: database.secret,
      BERTH_HOME: home,
      DATABASE_POOL_SIZE: '4',
      RATE_LIMIT_PER_MINUTE: '1000000',
      BODY_LIMIT_BYTES: '4194304',
      LOG_LEVEL: 'silent',
      // A machine that stood still for seconds is no reason to refuse a request.
      NODE_ENV: 'test',
      BERTH_TEST_PATIENCE_MS: '60000',
      ...environment,
    });
    const open = await openBroker(config, 'api');
    if (open.platformKey === null) throw new Error('a fresh database gave no platform key');
    const ground: Ground = { ...open, config, clock: systemClock, random: systemRandom, redis: null, ...over };
    const app = await createApi(ground);
    return new TestApi(app, ground, open.platformKey, database, open, home);
  }

  /** Connects as the role that sees every row, to see what a request did. (The owner does not: security is forced on it too.) */
  get workerUrl(): string {
    return this.database.urlFor('berth_worker');
  }

  /** Another API on the same ground, as a second process would be. */
  second(over: Partial<Ground> = {}): Promise<NestFastifyApplication> {
    return createApi({
      ...this.ground,
      metrics: createMetrics({ process: 'api' }),
      health: new HealthRegistry(),
      ...over,
    });
  }

  async close(): Promise<void> {
    await this.app.close();
    await this.opened.close();
    await this.database.close();
    await rm(this.home, { recursive: true, force: true });
  }

  /** `call('POST /v1/projects', { key, body, headers })`. A string body is sent as it is. */
  async call(
    line: `${string} /${string}`,
    with_: { key?: string; body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<TestAnswer> {
    const [method = 'GET', url = '/'] = line.split(' ');
    const { key, body, headers } = with_;
    const answer = await this.app.inject({
      method: method as 'GET',
      url,
      headers: {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const json = /json/.test(String(answer.headers['content-type'] ?? ''));
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body: json && answer.body !== '' ? (JSON.parse(answer.body) as Json) : { text: answer.body },
    };
  }

  async tenant(name = 'Tenant'): Promise<TestTenant> {
    const { organization, project, key } = await this.app
      .get(Tenancy)
      .createOrganization({ name, kind: 'tenant', keyName: 'root' });
    if (!project || !key) throw new Error('a tenant came without project or key');
    return { organizationId: organization.id, projectId: project.id, key: key.secret };
  }
}
