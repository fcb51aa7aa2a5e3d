import type { Logger } from '#platform/observability';

/** Repeats `work` every `everyMs`, never two at once; an error is logged and the next turn comes all the same. */
export class Timers {
  private readonly timers = new Set<NodeJS.Timeout>();
  private readonly running = new Set<Promise<void>>();
  private stopped = false;

  constructor(private readonly logger: Logger) {}

  every(everyMs: number, what: string, work: () => Promise<unknown>): void {
    const turn = (): void => {
      if (this.stopped) return;
      const run: Promise<void> = work()
        .then(
          () => undefined,
          (error: unknown) => this.logger.error({ err: error, what }, 'a periodic task failed; it will be tried again'),
        )
        .finally(() => {
          this.running.delete(run);
          if (this.stopped) return;
          const timer = setTimeout(() => {
            this.timers.delete(timer);
            turn();
          }, everyMs);
          this.timers.add(timer);
        });
      this.running.add(run);
    };
    turn();
  }

  /** Waits for what runs. */
  async stop(): Promise<void> {
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
    await Promise.all(this.running);
  }
}
