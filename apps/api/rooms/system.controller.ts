import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { DomainError } from '#kernel';
import { ORGANIZATION_KINDS, ROLES } from '#identity/tenancy';
import type { HealthReport } from '#platform/observability';
import type { Ground } from '../ground.js';
import { route, type Call } from '../http/route.js';
import { Serve } from '../http/serve.js';
import { GROUND } from '../services.js';

const tag = 'System';

const getMe = route({
  method: 'GET',
  path: '/v1/me',
  tag,
  name: 'getMe',
  summary: 'Show who this key is',
  access: { roles: [...ROLES] },
  returns: z
    .object({
      keyId: z.string(),
      organizationId: z.string(),
      organizationKind: z.enum(ORGANIZATION_KINDS),
      role: z.enum(ROLES),
      projectIds: z.array(z.string()).nullable().describe('Null: all projects of the organization'),
    })
    .meta({ id: 'Me' }),
});

const healthSchema = z
  .object({
    status: z.enum(['ok', 'failing']),
    checks: z.array(z.object({ name: z.string(), ok: z.boolean() })),
  })
  .meta({ id: 'Health' });

const getLive = route({
  method: 'GET',
  path: '/health/live',
  tag,
  name: 'getLive',
  summary: 'Tell whether this process should be restarted',
  access: 'public',
  returns: healthSchema,
});

const getReady = route({
  method: 'GET',
  path: '/health/ready',
  tag,
  name: 'getReady',
  summary: 'Tell whether this process should get requests',
  access: 'public',
  returns: healthSchema,
});

const getMetrics = route({
  method: 'GET',
  path: '/metrics',
  tag,
  name: 'getMetrics',
  summary: 'Metrics in the Prometheus text format',
  access: 'public',
  returns: { text: 'text/plain; version=0.0.4; charset=utf-8' },
});

@Controller()
export class SystemController {
  constructor(@Inject(GROUND) private readonly ground: Ground) {}

  @Serve(getMe)
  me({ principal }: Call<typeof getMe>) {
    const { keyId, organizationId, organizationKind, role, projectIds } = principal;
    return { keyId, organizationId, organizationKind, role, projectIds: projectIds === 'all' ? null : [...projectIds] };
  }

  @Serve(getLive)
  async live(_: Call<typeof getLive>) {
    return wellOr503(await this.ground.health.live());
  }

  @Serve(getReady)
  async ready(_: Call<typeof getReady>) {
    return wellOr503(await this.ground.health.ready());
  }

  @Serve(getMetrics)
  metrics(_: Call<typeof getMetrics>): Promise<string> {
    return this.ground.metrics.registry.metrics();
  }
}

/** Details of a failing check are for the log, not for everybody who can reach the port. */
function wellOr503(report: HealthReport) {
  const failing = report.checks.filter((check) => !check.ok).map((check) => check.name);
  if (report.status === 'ok')
    return { status: report.status, checks: report.checks.map(({ name, ok }) => ({ name, ok })) };
  throw new DomainError('unavailable', 'not-ready', `Failing: ${failing.join(', ')}.`, { retryAfterMs: 1_000 });
}
