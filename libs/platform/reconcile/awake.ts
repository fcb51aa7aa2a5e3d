import type { Clock } from '#kernel';

/**
 * For how long this process has been able to see what others write. While it slept, was frozen or had no database, a silence of others says
 * nothing about them. A process that never beats counts as awake from its start on.
 * A length and not an instant, because the clocks of processes and of the database differ.
 */
export class Awake {
  private since: number;
  private last: number | null = null;

  /** Beats further apart than `gapMs` mean that it was away. */
  constructor(
    private readonly clock: Clock,
    private readonly gapMs: number,
  ) {
    this.since = clock.now();
  }

  /** To be called again and again, each time right after the database has answered. */
  beat(): void {
    const now = this.clock.now();
    this.since = now - this.forMs();
    this.last = now;
  }

  /** Who wakes up may ask before it beats: then it is awake from now on. */
  forMs(): number {
    const now = this.clock.now();
    return this.last !== null && now - this.last > this.gapMs ? 0 : now - this.since;
  }
}
