import type { Logger } from 'pino';
import type { WorkItem, WorkReport } from '#contracts';
import type { Clock } from '#kernel';
import type { BrokerFiles } from '../sync/broker-client.js';
import type { LogSink } from './log-buffer.js';

/** Appears in a work's folder when its machine stops soon; holds until when. */
export const CHECKPOINT_FILE = 'checkpoint';

export type Outcome = Extract<WorkReport, { state: 'done' | 'failed' }>;

/** What a runner gets to do one (work, fence). */
export interface RunContext {
  readonly item: WorkItem;
  /** A folder of this (work, fence) alone; what it holds survives a restart of the agent, until the work is forgotten. */
  readonly folder: string;
  readonly files: BrokerFiles;
  readonly logs: LogSink;
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborted when the work is no longer wanted, its time is over, or the agent stops. */
  readonly signal: AbortSignal;
  progress(done: number, total: number): void;
}

/** Does one kind of work. Rejects with the signal's reason when aborted; a failure of the work itself is an outcome. */
export interface Runner<K extends WorkItem['spec']['kind'] = WorkItem['spec']['kind']> {
  readonly kind: K;
  run(context: RunContext): Promise<Outcome>;
}

/** A failure that ends the work with a code the broker can act on. */
export class WorkFailure extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly exitCode: number | null = null,
  ) {
    super(message);
    this.name = 'WorkFailure';
  }
}

/** The report for a failed work item; long messages are cut to what the protocol takes. */
export function failed(item: WorkItem, code: string, message: string, exitCode: number | null = null): Outcome {
  return { workId: item.workId, fence: item.fence, state: 'failed', code, message: message.slice(0, 2_000), exitCode };
}
