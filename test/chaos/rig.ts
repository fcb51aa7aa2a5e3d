import { expect } from '@jest/globals';
import type { JobView } from '#contracts';
import { embedding } from '../e2e/caller.js';
import { Stack, type StackOptions, type Tenant } from '../e2e/stack.js';
import { audit } from './audit.js';

/** Times at which a broken thing is noticed within seconds. An agent’s sign of life is up to 5 s old when it is written, and may wait 5 s for a frozen process. */
export const FAST = {
  sendBudgetMs: 1_000,
  callDeadlineMs: 2_000,
  bootTimeoutMs: 20_000,
  pollMs: 200,
  meterEveryMs: 1_000,
  agentSilenceMs: 12_000,
  orphanGraceMs: 2_000,
};

export const LINES = 160;
const SETTLE_MS = 90_000;

/** A stack with one tenant, to be broken. */
export class Rig {
  private constructor(
    readonly stack: Stack,
    readonly tenant: Tenant,
  ) {}

  static async start(options: StackOptions = {}): Promise<Rig> {
    const stack = await Stack.start({ leaseTimes: FAST, ...options, env: { AGENT_POLL_MS: '1000', ...options.env } });
    try {
      return new Rig(stack, await stack.tenant('chaos', 25));
    } catch (error) {
      await stack.close();
      throw error;
    }
  }

  /** Forty shards of four embeddings: some seconds of work, so that there is a middle to break things in. */
  submit(): Promise<JobView> {
    const lines = Array.from({ length: LINES }, (_, i) => embedding(`line-${i}`, `a text about the number ${i}`));
    return this.tenant.caller.batch('universal-sentence-encoder', lines, { linesPerShard: 4 });
  }

  middle(job: JobView): Promise<void> {
    return this.stack.middle(this.tenant.caller, job.id);
  }

  /** The job succeeds all the same, every line has its one result, nothing is left over, and the books are in order. */
  async expectWhole(job: JobView): Promise<void> {
    const { stack, tenant } = this;
    const end = await stack.ended(tenant.caller, job.id, SETTLE_MS);
    expect([end.state, end.reason, end.progress.linesOk]).toEqual(['succeeded', null, LINES]);
    const results = await tenant.caller.results(job.id);
    expect(results.map((r) => r.custom_id)).toEqual(Array.from({ length: LINES }, (_, i) => `line-${i}`));
    expect(results.filter((r) => r.response?.status_code !== 200)).toEqual([]);
    await stack.quiet(SETTLE_MS);
    await this.expectInOrder();
  }

  /** Once no machine is alive: the audit finds nothing. */
  async expectInOrder(): Promise<void> {
    const { stack } = this;
    if (stack.sandbox)
      await stack.until(
        'every machine is gone',
        async () => (await stack.machines()).every((m) => ['terminated', 'failed', 'preempted'].includes(m.state)),
        SETTLE_MS,
      );
    expect(await audit((sql) => stack.sql(sql), stack.sandbox ? await stack.machines() : [])).toEqual([]);
  }

  /** How the leases of this rig ended, oldest first. */
  async endings(): Promise<(string | null)[]> {
    return (await this.stack.sql<{ end_reason: string | null }>('select end_reason from leases order by id')).map(
      (l) => l.end_reason,
    );
  }
}
