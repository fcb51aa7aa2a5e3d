import type { LogLine } from '#contracts';
import type { Clock } from '#kernel';

export type LogStream = LogLine['stream'];

/** Where a runner writes what its work says. */
export interface LogSink {
  write(work: { workId: string; fence: number }, stream: LogStream, text: string): void;
}

export interface LogLimits {
  /** Characters of one line; longer lines are cut. */
  readonly lineChars: number;
  /** Characters one work may write in all; then one line says so and the rest is dropped. */
  readonly workChars: number;
  /** Lines that wait for the broker; beyond, new ones are dropped and counted. */
  readonly waitingLines: number;
  /** Lines and bytes in one sync. */
  readonly batchLines: number;
  readonly batchBytes: number;
}

export const DEFAULT_LOG_LIMITS: LogLimits = {
  lineChars: 8_192,
  workChars: 16 * 1024 * 1024,
  waitingLines: 10_000,
  batchLines: 2_000,
  batchBytes: 256 * 1024,
};

/** Counted beside a line's text, so that empty lines are not free and a run stays below `LINES_PER_RUN` lines. */
const LINE_OVERHEAD = 16;
const LINES_PER_RUN = 2 ** 21;

interface Written {
  n: number;
  chars: number;
  dropped: number;
  cut: boolean;
}

/**
 * Lines on their way to the broker. A line leaves only once a sync that carried it was answered, so a lost answer sends it
 * again under the same number `n`. Lines live in memory: a killed agent loses those that were still waiting.
 */
export class LogBuffer implements LogSink {
  private readonly waiting: LogLine[] = [];
  private readonly written = new Map<string, Written>();

  constructor(
    private readonly clock: Clock,
    private readonly limits: LogLimits = DEFAULT_LOG_LIMITS,
  ) {}

  get size(): number {
    return this.waiting.length;
  }

  /**
   * A run of the work begins. A run after a restart numbers its lines in a block of its own: otherwise the broker would take
   * them for repetitions of lines that it has.
   */
  begin(work: { workId: string; fence: number }, run: number): void {
    this.written.set(keyOf(work), { n: run * LINES_PER_RUN, chars: 0, dropped: 0, cut: false });
  }

  write(work: { workId: string; fence: number }, stream: LogStream, text: string): void {
    const state = this.stateOf(work);
    if (state.cut) return;
    const chars = text.length + LINE_OVERHEAD;
    if (state.chars + chars > this.limits.workChars) {
      state.cut = true;
      this.push(work, state, 'agent', `The output is cut here: more than ${this.limits.workChars} characters.`);
      return;
    }
    if (this.waiting.length >= this.limits.waitingLines) {
      state.dropped++;
      return;
    }
    if (state.dropped > 0) {
      this.push(
        work,
        state,
        'agent',
        `${state.dropped} lines were dropped here: the broker did not take them in time.`,
      );
      state.dropped = 0;
    }
    state.chars += chars;
    this.push(work, state, stream, text.slice(0, this.limits.lineChars));
  }

  /** The next lines to send, oldest first. */
  batch(): LogLine[] {
    const lines: LogLine[] = [];
    let bytes = 0;
    for (const line of this.waiting.slice(0, this.limits.batchLines)) {
      // Names, quotes and escapes of a line's JSON, roughly.
      bytes += Buffer.byteLength(line.text) + 160;
      if (lines.length > 0 && bytes > this.limits.batchBytes) break;
      lines.push(line);
    }
    return lines;
  }

  /** The broker has the first `count` lines. */
  confirm(count: number): void {
    this.waiting.splice(0, count);
  }

  /** Stops counting for a work that is over and forgotten. */
  forget(work: { workId: string; fence: number }): void {
    this.written.delete(keyOf(work));
  }

  private push(work: { workId: string; fence: number }, state: Written, stream: LogStream, text: string): void {
    const at = new Date(this.clock.now()).toISOString();
    this.waiting.push({ workId: work.workId, fence: work.fence, n: state.n++, at, stream, text });
  }

  private stateOf(work: { workId: string; fence: number }): Written {
    const key = keyOf(work);
    let state = this.written.get(key);
    if (!state) this.written.set(key, (state = { n: 0, chars: 0, dropped: 0, cut: false }));
    return state;
  }
}

function keyOf(work: { workId: string; fence: number }): string {
  return `${work.workId}/${work.fence}`;
}
