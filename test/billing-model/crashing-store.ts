import type { Actor, Store, Tx } from '#platform/database';

/** The process died: inside a transaction, which is then undone, or after its commit and before anybody heard of it. */
export class Crash extends Error {
  constructor(readonly committed: boolean) {
    super(committed ? 'crashed after the commit' : 'crashed inside the transaction');
    this.name = 'Crash';
  }
}

export type CrashAt = 'nowhere' | 'inside' | 'after';

/** A store whose user dies at one of its transactions, once each time it is told to. */
export class CrashingStore implements Store {
  private next: CrashAt = 'nowhere';
  private inTransactions = 0;

  constructor(private readonly store: Store) {}

  /** The `n`th transaction from now on (0: the next one) ends so. */
  crash(at: CrashAt, n = 0): void {
    this.next = at;
    this.inTransactions = n;
  }

  async transaction<T>(actor: Actor, work: (tx: Tx) => Promise<T>): Promise<T> {
    const here = this.inTransactions === 0 ? this.next : 'nowhere';
    if (here !== 'nowhere') this.next = 'nowhere';
    else if (this.inTransactions > 0) this.inTransactions--;
    const result = await this.store.transaction(actor, async (tx) => {
      const done = await work(tx);
      if (here === 'inside') throw new Crash(false);
      return done;
    });
    if (here === 'after') throw new Crash(true);
    return result;
  }
}
