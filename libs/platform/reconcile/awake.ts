import type { Clock } from '#kernel';

/**
 * Since when this process can see what others write. While it slept, was frozen or had no database, a silence of others says
 * nothing about them. A process that never beats counts as awake from its start on.
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
    this.since = this.sinceMs();
    this.last = this.clock.now();
  }

  /** Who wakes up may ask before it beats: then it is awake from now on. */
  sinceMs(): number {
    const now = this.clock.now();
    return this.last !== null && now - this.last > this.gapMs ? now : this.since;
  }
}
