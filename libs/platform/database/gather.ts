interface Waiting<T, R> {
  readonly item: T;
  readonly done: (result: R) => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Work on one hot row, done for many at a time: while one call for a key runs, what comes meanwhile waits and goes together in the next.
 * Nobody waits where nobody runs. `work` answers in the order of its items, for each its result or the error that it alone gets; what it
 * throws all of them get.
 */
export class Gather<T, R> {
  private readonly waiting = new Map<string, Waiting<T, R>[]>();

  constructor(
    private readonly work: (key: string, items: readonly T[]) => Promise<readonly (R | Error)[]>,
    private readonly mostAtOnce = 100,
  ) {}

  add(key: string, item: T): Promise<R> {
    return new Promise((done, failed) => {
      const mine = { item, done, failed };
      const queue = this.waiting.get(key);
      if (queue) {
        queue.push(mine);
        return;
      }
      this.waiting.set(key, [mine]);
      void this.drain(key);
    });
  }

  private async drain(key: string): Promise<void> {
    for (;;) {
      const group = this.waiting.get(key)?.splice(0, this.mostAtOnce) ?? [];
      if (group.length === 0) {
        this.waiting.delete(key);
        return;
      }
      try {
        const results = await this.work(
          key,
          group.map((w) => w.item),
        );
        group.forEach(({ done, failed }, i) => {
          const result = results[i];
          if (result === undefined || result instanceof Error) failed(result ?? new Error('no answer'));
          else done(result);
        });
      } catch (error) {
        for (const { failed } of group) failed(error);
      }
    }
  }
}
