import { expect } from '@jest/globals';
import type { JobView } from '#contracts';
import { embedding } from '../e2e/caller.js';
import { Stack, type StackOptions, type Tenant } from '../e2e/stack.js';
import { audit } from './audit.js';

/**
 * Times at which a broken thing is noticed within seconds. What a busy computer may pass by itself is not among them: a stall of
 * everything for ten seconds must not look like the loss of a machine that the test did not take.
 */
const FAST = {
  sendBudgetMs: 3_000,
  callDeadlineMs: 5_000,
  bootTimeoutMs: 60_000,
  pollMs: 200,
  meterEveryMs: 1_000,
  agentSilenceMs: 60_000,
  orphanGraceMs: 2_000,
};

/** For a test of silence itself. An agent’s sign of life is up to 5 s old when it is written, and may wait 5 s for a frozen process. */
export const SHORT_SILENCE_MS = 20_000;

export interface RigOptions extends StackOptions {
  readonly agentSilenceMs?: number;
}

export const LINES = 160;
const SETTLE_MS = 90_000;

/** A stack with one tenant, to be broken. */
export class Rig {
  private constructor(
    readonly stack: Stack,
    readonly tenant: Tenant,
  ) {}

  static async start({ agentSilenceMs = FAST.agentSilenceMs, ...options }: RigOptions = {}): Promise<Rig> {
    const leaseTimes = { ...FAST, agentSilenceMs };
    const stack = await Stack.start({ ...options, leaseTimes, env: { AGENT_POLL_MS: '1000', ...options.env } });
    try {
      return new Rig(stack, await stack.tenant('chaos', 25));
    } catch (error) {
      await stack.close();
      throw error;
    }
  }

  /**
   * Forty shards of four embeddings: some seconds of work, so that there is a middle to break things in. Until a worker that has just
   * started has read what the vendor sells, a tenant is told that nothing fits, and to try again.
   */
  submit(): Promise<JobView> {
    const lines = Array.from({ length: LINES }, (_, i) => embedding(`line-${i}`, `a text about the number ${i}`));
    const { caller } = this.tenant;
    return this.stack.until(
      'the job is taken',
      () => caller.batch('universal-sentence-encoder', lines, { linesPerShard: 4 }),
      SETTLE_MS,
    );
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

  /** So many machines were made, none of them at registered hosts, and the leases ended so, oldest first. */
  async expectRented(machines: number, ...endings: string[]): Promise<void> {
    await this.expectEndings(...endings);
    expect((await this.stack.machines()).length).toBe(machines);
  }

  /** How the leases ended, oldest first; a mismatch tells what befell each of them. */
  async expectEndings(...endings: string[]): Promise<void> {
    const { stack } = this;
    const rows = await stack.sql<{ end_reason: string | null }>('select end_reason from leases order by id');
    const found = rows.map((lease) => lease.end_reason);
    if (JSON.stringify(found) === JSON.stringify(endings)) return;
    const events = await stack.sql(
      "select at, subject_id, to_state, message from events where subject_id in (select id from leases) and message <> '' order by at, n",
    );
    const told = events.map((e) => Object.values(e).map(String).join(' '));
    throw new Error(`The leases ended ${found.join(', ')}\n${told.join('\n')}\n${stack.tails()}`);
  }
}
