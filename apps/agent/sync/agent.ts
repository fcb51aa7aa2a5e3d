import type { Logger } from 'pino';
import type { HostFacts, SyncRequestInput, WorkReport, telemetrySchema } from '#contracts';
import type { Clock, Random } from '#kernel';
import type { z } from 'zod';
import type { LogBuffer } from '../runners/log-buffer.js';
import { backoffMs, type Pause } from './backoff.js';
import { BrokerError, type BrokerClient } from './broker-client.js';
import type { Urgency, WorkSet } from './work-set.js';

/** Why the loop ended. */
export type AgentEnd = 'stopped' | 'goodbye' | 'credential-dead' | 'stale-sequence';

export interface AgentPorts {
  readonly broker: BrokerClient;
  readonly works: WorkSet;
  readonly logs: LogBuffer;
  readonly nextSeq: () => Promise<number>;
  readonly facts: () => Promise<HostFacts>;
  readonly telemetry: () => Promise<z.infer<typeof telemetrySchema>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly pause: Pause;
  readonly log: Logger;
  /** How long a poll may wait at the broker; at most 30 s. */
  readonly pollMs: number;
  /** On the way out, running work has this long to finish before it is stopped. */
  readonly drainMs: number;
}

/** Facts rarely change (a driver update, a full disk); the broker keeps the last ones. */
const FACTS_EVERY_MS = 10 * 60_000;
const TELEMETRY_EVERY_MS = 15_000;
/** A broker that answers at once, again and again, is asked no faster than this. */
const SHORTEST_POLL_MS = 100;
/** How long news wait for company before they end a waiting poll. */
const NEWS_WAIT_MS: Readonly<Record<Urgency, number>> = { finished: 0, logs: 500, progress: 5_000 };
/** The last sync, on the way out, may take this long. */
const LAST_SYNC_MS = 3_000;

/**
 * The loop between this machine and the broker. It tells what is and hears what shall be; what it hears replaces what it heard
 * before, so a lost message costs a poll and nothing else.
 */
export class Agent {
  private factsSentAt = Number.NEGATIVE_INFINITY;
  private telemetrySentAt = Number.NEGATIVE_INFINITY;
  /** Ends the poll that waits, when there is something to tell. */
  private wake = new AbortController();
  private pollStartedAt = 0;
  /** Whether the request under way waits at the broker; one that does not wait is never cut short for news. */
  private waiting = false;

  constructor(private readonly ports: AgentPorts) {}

  /** Runs until the broker says goodbye, the credential is dead, or `signal` asks to stop. */
  async run(signal: AbortSignal): Promise<AgentEnd> {
    const { works, log } = this.ports;
    works.onChange = (urgency) => this.tell(urgency);
    const onStop = (): void => this.wake.abort();
    signal.addEventListener('abort', onStop, { once: true });
    let end: AgentEnd = 'stopped';
    try {
      end = await this.loop(signal);
    } finally {
      signal.removeEventListener('abort', onStop);
      if (end !== 'stopped') await works.stopAll();
    }
    if (end === 'goodbye') await works.forgetAll();
    if (end === 'stopped') await this.drain();
    log.info({ end }, 'agent loop ended');
    return end;
  }

  private async loop(signal: AbortSignal): Promise<AgentEnd> {
    const { broker, works, clock, pause, random, log } = this.ports;
    let failures = 0;
    while (!signal.aborted) {
      this.pollStartedAt = clock.now();
      this.wake = new AbortController();
      const woken = this.wake.signal;
      try {
        const request = await this.request(false);
        if (signal.aborted) break;
        this.waiting = (request.waitMs ?? 0) > 0;
        const { answer, brokerNowMs } = await broker.sync(request, woken);
        if (failures > 0) log.info({ failures }, 'the broker answers again');
        failures = 0;
        this.sent(request, clock.now());
        works.acknowledge(request.reports, answer.acknowledged);
        if (answer.goodbye) return 'goodbye';
        await works.reconcile(answer.work, brokerNowMs === null ? 0 : brokerNowMs - clock.now());
      } catch (error) {
        const fatal =
          error instanceof BrokerError && (error.kind === 'credential-dead' || error.kind === 'stale-sequence');
        if (fatal) {
          log.error(
            { code: error.kind, problem: error.message },
            END_SENTENCES[error.kind as keyof typeof END_SENTENCES],
          );
          return error.kind as keyof typeof END_SENTENCES;
        }
        // An aborted poll is our own doing: the next request carries the news, and the same log lines under the same numbers.
        if (!woken.aborted) {
          failures++;
          const pauseMs = (error instanceof BrokerError ? error.retryAfterMs : null) ?? backoffMs(failures, random);
          // A full disk or a failing driver tool is no reason to leave: the lease would be lost with the agent.
          if (error instanceof BrokerError) log.warn({ problem: error.message, failures, pauseMs }, 'sync failed');
          else log.error({ err: error, failures, pauseMs }, 'sync failed inside the agent');
          await pause(pauseMs, signal);
          continue;
        }
      }
      // The machine's clock may jump backwards: then the pause is the shortest poll, not more.
      const early = Math.min(SHORTEST_POLL_MS, SHORTEST_POLL_MS - (clock.now() - this.pollStartedAt));
      if (early > 0 && !signal.aborted) await pause(early, signal);
    }
    return 'stopped';
  }

  /** Lets running work finish for a moment, stops the rest (its lines are kept), and tells the broker once more. */
  private async drain(): Promise<void> {
    const { works, broker, pause, log } = this.ports;
    works.startNothingMore();
    const over = new AbortController();
    await Promise.race([works.settled(), pause(this.ports.drainMs, over.signal)]);
    over.abort();
    await works.stopAll();
    try {
      const request = await this.request(true);
      const { answer } = await broker.sync(request, AbortSignal.timeout(LAST_SYNC_MS));
      works.acknowledge(request.reports, answer.acknowledged);
      this.ports.logs.confirm(request.logs?.length ?? 0);
      // Nothing starts any more; what is acknowledged or no longer wanted leaves the disk.
      await works.reconcile(answer.work, 0);
    } catch (error) {
      log.warn(
        { problem: error instanceof Error ? error.message : String(error) },
        'the last sync failed; reports are kept for the next start',
      );
    }
  }

  private async request(draining: boolean): Promise<SyncRequestInput> {
    const { works, logs, clock, pollMs } = this.ports;
    const now = clock.now();
    const facts = now - this.factsSentAt >= FACTS_EVERY_MS ? await this.ports.facts() : undefined;
    const telemetry = now - this.telemetrySentAt >= TELEMETRY_EVERY_MS ? await this.ports.telemetry() : undefined;
    // Taken last and together: an await in between would let them tell of different moments.
    const seq = await this.ports.nextSeq();
    const held = works.held();
    const reports: WorkReport[] = works.reports();
    const lines = logs.batch();
    const urgent =
      draining || reports.some((report) => report.state !== 'running') || lines.length > 0 || facts !== undefined;
    return {
      seq,
      ...(facts && { facts }),
      ...(telemetry && { telemetry }),
      reports,
      logs: lines,
      capacity: draining ? 0 : Math.min(256, works.capacity()),
      waitMs: urgent ? 0 : Math.min(pollMs, 30_000),
      knownWork: held.slice(0, 1_000).map(({ workId, fence, checkpoint }) => ({
        workId,
        fence,
        ...(checkpoint ? { checkpoint } : {}),
      })),
      draining,
    };
  }

  private sent(request: SyncRequestInput, now: number): void {
    if (request.facts) this.factsSentAt = now;
    if (request.telemetry) this.telemetrySentAt = now;
    this.ports.works.delivered(request.reports);
    this.ports.logs.confirm(request.logs?.length ?? 0);
  }

  /**
   * News ends a waiting poll: at once for a finished work, after a moment for what gains from company. News that come before a
   * request is put together go with it, and its timer finds another poll.
   */
  private tell(urgency: Urgency): void {
    const { wake } = this;
    const young = SHORTEST_POLL_MS - (this.ports.clock.now() - this.pollStartedAt);
    const afterMs = Math.max(0, Math.min(young, SHORTEST_POLL_MS), NEWS_WAIT_MS[urgency]);
    setTimeout(() => {
      if (this.waiting && this.wake === wake) wake.abort();
    }, afterMs).unref();
  }
}

const END_SENTENCES = {
  'credential-dead': 'The broker no longer knows this credential: all work was stopped.',
  'stale-sequence': 'Another agent uses the credential of this one (a copied disk?): all work was stopped.',
} as const;
