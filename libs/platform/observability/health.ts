import { isError, redactText } from './redact.js';

export interface HealthCheck {
  readonly name: string;
  /** `live`: failing means "restart me". `ready`: failing means "send me no work". */
  readonly kind: 'live' | 'ready';
  /** Throws when it is not well. */
  readonly check: () => Promise<unknown> | unknown;
  readonly timeoutMs?: number;
}

export interface HealthReport {
  readonly status: 'ok' | 'failing';
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail?: string }[];
}

const DEFAULT_TIMEOUT_MS = 2_000;

/** The health of one process. Rooms add checks at boot; routes and the ops server only ask. */
export class HealthRegistry {
  private readonly checks: HealthCheck[] = [];
  private draining = false;

  add(check: HealthCheck): void {
    if (this.checks.some((known) => known.name === check.name))
      throw new Error(`health check ${check.name} is there twice`);
    this.checks.push(check);
  }

  /** From now on not ready, so that balancers turn away before the listener closes. */
  drain(): void {
    this.draining = true;
  }

  live(): Promise<HealthReport> {
    return this.run('live');
  }

  async ready(): Promise<HealthReport> {
    const report = await this.run('ready');
    if (!this.draining) return report;
    return { status: 'failing', checks: [...report.checks, { name: 'draining', ok: false, detail: 'shutting down' }] };
  }

  private async run(kind: HealthCheck['kind']): Promise<HealthReport> {
    const asked = this.checks.filter((check) => check.kind === kind);
    const checks = await Promise.all(asked.map(outcome));
    return { status: checks.every((check) => check.ok) ? 'ok' : 'failing', checks };
  }
}

async function outcome(check: HealthCheck): Promise<HealthReport['checks'][number]> {
  const timeoutMs = check.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([(async () => check.check())(), late]);
    return { name: check.name, ok: true };
  } catch (error) {
    return { name: check.name, ok: false, detail: redactText(isError(error) ? error.message : String(error)) };
  } finally {
    clearTimeout(timer);
  }
}
