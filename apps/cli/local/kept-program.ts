import type { ChildProcess } from 'node:child_process';
import { endProcess, markOf, signal, type Mark } from './mark.js';
import { isHealthy, logFile, start } from './programs.js';
import { readState, writeState, type ProgramName } from './state.js';

/** How one program is run. */
export interface Recipe {
  readonly name: ProgramName;
  /** Asked before each start: a token may have to be fetched first. */
  readonly args: () => Promise<readonly string[]>;
  readonly env: Readonly<Record<string, string>>;
  /** Where it tells that it lives; null while that is unknown or for programs without. */
  readonly liveUrl: () => string | null;
  /** Why it must not be started again after this exit code; null: start it again. */
  readonly over: (code: number | null) => string | null;
  /** Whether the next start takes away what caused this exit code. */
  readonly mended: (code: number | null) => boolean;
}

/** A program that crashes is started again after this, doubled each time up to the longest. */
const RESTART_MS = 500;
const LONGEST_RESTART_MS = 30_000;
/** One that ran this long is not one that cannot start. */
const SOUND_MS = 60_000;
/** So many unanswered looks in a row mean that it hangs. */
const HANGS_AFTER_LOOKS = 6;

export function restartPauseMs(failures: number): number {
  return Math.min(RESTART_MS * 2 ** failures, LONGEST_RESTART_MS);
}

/** One program that is kept running until `stop`. */
export class KeptProgram {
  private child: ChildProcess | undefined;
  private mark: Mark | null = null;
  private failures = 0;
  private startedAt = 0;
  private unanswered = 0;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private mending = false;

  constructor(
    private readonly home: string,
    private readonly recipe: Recipe,
    private readonly say: (text: string) => void,
  ) {}

  get name(): ProgramName {
    return this.recipe.name;
  }

  /** True when it has ended and was not started again yet. */
  get down(): boolean {
    return this.child === undefined;
  }

  /** True when it has ended for a reason that is still there. */
  get failed(): boolean {
    return this.down && !this.mending;
  }

  async start(): Promise<void> {
    const args = await this.recipe.args();
    if (this.stopped) return;
    const child = start(this.home, this.name, args, this.recipe.env);
    this.child = child;
    this.mending = false;
    this.startedAt = Date.now();
    this.unanswered = 0;
    child.once('error', (error) => this.ended(child, error.message));
    child.once('exit', (code, name) => this.ended(child, name ?? code));
    this.mark = markOf(child.pid);
    if (this.mark) this.remember(this.mark);
  }

  private ended(child: ChildProcess, how: string | number | null): void {
    if (this.child !== child) return;
    this.child = undefined;
    if (this.stopped) return;
    const code = typeof how === 'number' ? how : null;
    this.mending = this.recipe.mended(code);
    const over = this.recipe.over(code);
    if (over !== null) {
      this.forget();
      return this.say(`the ${this.name} has ended: ${over}`);
    }
    if (Date.now() - this.startedAt > SOUND_MS) this.failures = 0;
    this.say(`the ${this.name} ended (${how}); starting it again. Its log: ${logFile(this.home, this.name)}`);
    this.again();
  }

  private again(): void {
    this.timer = setTimeout(() => {
      this.start().catch((error: unknown) => {
        this.say(`the ${this.name} could not be started: ${error instanceof Error ? error.message : String(error)}`);
        if (!this.stopped) this.again();
      });
    }, restartPauseMs(this.failures++));
  }

  /** Kills a program that has not answered for a while; its end brings it back. */
  async look(): Promise<void> {
    const url = this.recipe.liveUrl();
    if (url === null || this.mark === null || this.down) return;
    this.unanswered = (await isHealthy(url, '/health/live')) ? 0 : this.unanswered + 1;
    if (this.unanswered < HANGS_AFTER_LOOKS) return;
    this.say(`the ${this.name} does not answer; ending it`);
    signal(this.mark.pid, 'SIGKILL');
  }

  private remember(mark: Mark): void {
    writeState(this.home, { processes: { ...readState(this.home).processes, [this.name]: mark } });
  }

  /** It is not meant to run any more. */
  private forget(): void {
    const { [this.name]: _, ...others } = readState(this.home).processes ?? {};
    writeState(this.home, { processes: others });
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    if (this.mark && !this.down) await endProcess(this.mark);
  }
}
