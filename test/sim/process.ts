import { never, type Kernel } from './kernel.js';

/**
 * One life of a process of the simulation. When it dies, whatever it was doing is never resumed; a restart is a new life with
 * nothing in memory. Frozen (SIGSTOP, a stalled event loop) it goes on where it was, later.
 */
export class Process {
  dead = false;
  private frozenUntilMs = 0;
  private readonly onDeath = new Set<() => void>();
  /** What it is busy with: rows being reconciled, attempts and machines that calls are about. */
  readonly doing = new Map<string, number>();

  constructor(
    readonly kernel: Kernel,
    readonly name: string,
    /** Asked at every point; may kill or freeze the process. */
    private readonly onStep: (process: Process) => void = () => undefined,
  ) {}

  /** Waits `ms` (at least) and gives others their turn; never returns when the process has died meanwhile. */
  point(label: string, ms: number): Promise<void> {
    if (this.dead) return never();
    return new Promise((resolve) => this.later(this.kernel.clock.now() + ms, label, resolve));
  }

  private later(atMs: number, label: string, resume: () => void): void {
    this.kernel.at(Math.round(atMs), `${this.name} ${label}`, () => {
      if (this.dead) return;
      if (!this.frozen) this.onStep(this);
      if (this.dead) return;
      if (this.frozen) this.later(this.frozenUntilMs, label, resume);
      else resume();
    });
  }

  /** The result of something that goes on without this process, if it lives to see it. */
  attend<T>(outcome: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      outcome.then(
        (value) => {
          if (!this.dead) resolve(value);
        },
        (error: unknown) => {
          if (!this.dead) reject(error);
        },
      );
    });
  }

  /** Runs `work` every so often, never two at once. */
  every(ms: number, label: string, work: () => Promise<unknown>, failed: (error: unknown) => void): void {
    const jitter = this.kernel.random(`${this.name}/${label}`);
    const turn = (): void => {
      void this.point(label, ms * (0.8 + 0.4 * jitter.float()))
        .then(work)
        .catch(failed)
        .then(turn);
    };
    turn();
  }

  /** Counts these subjects as what the process is busy with while `work` runs. */
  async busyWith<T>(subjects: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const s of subjects) this.doing.set(s, (this.doing.get(s) ?? 0) + 1);
    try {
      return await work();
    } finally {
      for (const s of subjects) {
        const left = (this.doing.get(s) ?? 1) - 1;
        if (left === 0) this.doing.delete(s);
        else this.doing.set(s, left);
      }
    }
  }

  get frozen(): boolean {
    return this.kernel.clock.now() < this.frozenUntilMs;
  }

  freeze(ms: number): void {
    this.frozenUntilMs = Math.max(this.frozenUntilMs, this.kernel.clock.now() + ms);
  }

  whenDead(tell: () => void): () => void {
    this.onDeath.add(tell);
    return () => this.onDeath.delete(tell);
  }

  die(): void {
    if (this.dead) return;
    this.dead = true;
    for (const tell of this.onDeath) tell();
  }
}
