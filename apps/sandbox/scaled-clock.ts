import type { Clock } from '#kernel';

/** The vendor's time: starts with the base clock, runs `scale` times as fast, stands still at 0, never goes back. */
export class ScaledClock implements Clock {
  private anchorBase: number;
  private anchorOwn: number;

  constructor(
    private readonly base: Clock,
    private rate: number = 1,
  ) {
    this.anchorBase = base.now();
    this.anchorOwn = this.anchorBase;
  }

  get scale(): number {
    return this.rate;
  }

  now(): number {
    const passed = Math.max(0, this.base.now() - this.anchorBase);
    return Math.floor(this.anchorOwn + passed * this.rate);
  }

  /** From now on time runs at this rate. */
  setScale(rate: number): void {
    this.settle();
    this.rate = rate;
  }

  /** Jumps ahead. */
  advance(ms: number): void {
    if (ms < 0) throw new RangeError('time only moves forward');
    this.settle();
    this.anchorOwn += ms;
  }

  /** Real milliseconds until the vendor's clock shows `atMs`; null while it stands still. */
  realMsUntil(atMs: number): number | null {
    const left = atMs - this.now();
    if (left <= 0) return 0;
    return this.rate === 0 ? null : left / this.rate;
  }

  private settle(): void {
    this.anchorOwn = this.now();
    this.anchorBase = this.base.now();
  }
}
