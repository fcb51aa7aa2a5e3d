import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { systemClock, systemRandom } from '#kernel';
import { openStore, type OpenStore } from '#platform/database';
import { Tenancy } from '#identity/tenancy';
import { createMetrics, HealthRegistry, silentLogger } from '#platform/observability';
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
    private readonly opened: OpenStore,
  ) {}

  static async start(over: Partial<Ground> = {}): Promise<TestApi> {
    const database = await testDatabase();
    const opened = await openStore(database.ownerUrl, database.secret, { poolSize: 4, name: 'api-spec' });
    const ground: Ground = {
      config: { bodyLimitBytes: 4_194_304, rateLimitPerMinute: 1_000_000, publicUrl: null },
      store: opened.store,
      secret: database.secret,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      metrics: createMetrics({ process: 'api', defaults: false }),
      health: new HealthRegistry(),
      redis: null,
      ...over,
    };
    const app = await createApi(ground);
    const { platformKey } = await app.get(Tenancy).ensureInstall();
    if (platformKey === null) throw new Error('a fresh database gave no platform key');
    return new TestApi(app, ground, platformKey, database, opened);
  }

  async close(): Promise<void> {
    await this.app.close();
    await this.opened.close();
    await this.database.close();
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
