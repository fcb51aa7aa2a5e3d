/**
 * Things that come close together go together. The first goes at once; those of the next `windowMs` wait for its end.
 * A thing with the same key as one that waits takes its place.
 */
export class Gather<T> {
  private waiting = new Map<string, T>();
  private next: Promise<void> | undefined;
  private lastAt = -Infinity;
  private hurry: (() => void) | undefined;

  /** `send` must not fail. */
  constructor(
    private readonly send: (things: readonly T[]) => Promise<void>,
    private readonly windowMs: number,
  ) {}

  /** Resolves when the thing has been sent. */
  add(key: string, thing: T): Promise<void> {
    this.waiting.set(key, thing);
    return (this.next ??= this.sendLater());
  }

  /** Sends what waits now, without waiting for the end of the window. */
  async flush(): Promise<void> {
    this.hurry?.();
    await this.next;
  }

  private async sendLater(): Promise<void> {
    const waitMs = this.lastAt + this.windowMs - performance.now();
    if (waitMs > 0)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs);
        this.hurry = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    // What comes in the same turn goes with the first.
    else await Promise.resolve();
    this.hurry = undefined;
    this.lastAt = performance.now();
    const things = [...this.waiting.values()];
    this.waiting = new Map();
    this.next = undefined;
    await this.send(things);
  }
}
