/**
 * Lets others work between two slices of something long. Whoever pauses goes on in the order of coming, one for each turn of
 * the event loop: however many work side by side, nobody else waits for more than one slice.
 */
export class Turns {
  private readonly waiting: (() => void)[] = [];
  /** How often somebody paused. */
  taken = 0;

  readonly pause = (): Promise<void> =>
    new Promise((resolve) => {
      this.taken++;
      if (this.waiting.push(resolve) === 1) setImmediate(this.next);
    });

  private readonly next = (): void => {
    const first = this.waiting.shift();
    if (this.waiting.length > 0) setImmediate(this.next);
    first?.();
  };
}
