import { WORKER, type Store, type Tx } from '#platform/database';
import { accounts, entries, transactions } from './ledger.table.js';
import { chain, days, seals, unsealed, type SealRow } from './seal.table.js';
import { ledgerCheck, type CheckResult } from './reading.js';
import { checkLink, daysOf, digestOf, GENESIS, grouped, linkHash, type Broken } from './seal.js';

/** How far a page of the verification came, and what it found. */
export interface Verified {
  /** The last link that was looked at; pass it as `after` for the next page. */
  readonly through: number;
  readonly transactions: number;
  readonly broken: Broken | null;
  readonly done: boolean;
  /** The end of the chain as the books say it. */
  readonly sealed: { readonly n: number; readonly hash: string; readonly transactions: number };
  /** With the last page only: what the seals do not cover, and accounts whose balance is not the sum of their entries. */
  readonly rest: CheckResult | null;
}

/**
 * Seals committed transactions into the chain, and folds their entries into the totals by day and into the balances of folded accounts.
 * What waits is a queue that each posting writes to in its own transaction, so nothing that commits late is ever passed over, whatever
 * its id or time. Who holds the row of `ledger_chain` is the only writer.
 */
export class Sealer {
  constructor(
    private readonly store: Store,
    private readonly perLink = 1_000,
  ) {}

  /** Seals what waits, link by link; the last link, or null where there was nothing or somebody else is at it. */
  async run(maxLinks = 50): Promise<SealRow | null> {
    let last: SealRow | null = null;
    for (let n = 0; n < maxLinks; n++) {
      const link = await this.store.transaction(WORKER, (tx) => this.sealOne(tx));
      last = link ?? last;
      if (link === null || link.transactionIds.length < this.perLink) break;
    }
    return last;
  }

  private async sealOne(tx: Tx): Promise<SealRow | null> {
    const end = await tx.first(chain, { singleton: true }, { lock: 'skip-locked' });
    if (!end) return null;
    const order = [['at', 'asc'] as const, ['transactionId', 'asc'] as const];
    const waiting = await tx.find(unsealed, {}, { orderBy: order, limit: this.perLink });
    if (waiting.length === 0) return null;
    const transactionIds = waiting.map((w) => w.transactionId);
    const of = await tx.find(transactions, { id: { in: transactionIds } });
    const posted = await tx.find(entries, { transactionId: { in: transactionIds } });
    const byId = new Map(of.map((t) => [t.id, t]));
    const entriesOf = grouped(posted, (e) => e.transactionId);
    const body = {
      n: end.n + 1,
      previous: end.hash,
      transactionIds,
      digests: transactionIds.map((id) => {
        const transaction = byId.get(id);
        if (!transaction) throw new Error(`transaction ${id} waits to be sealed and is not in the ledger`);
        return digestOf(transaction, entriesOf.get(id) ?? []);
      }),
      throughAt: waiting.reduce((latest, w) => Math.max(latest, w.at), 0),
      sealedAt: await tx.now(),
    };
    const link: SealRow = { ...body, hash: linkHash(body) };
    await tx.insert(seals, link);
    await tx.remove(unsealed, { transactionId: { in: transactionIds } });
    await this.fold(tx, daysOf(posted));
    const patch = { n: link.n, hash: link.hash, transactions: { add: transactionIds.length } };
    await tx.update(chain, { singleton: true, n: end.n }, patch);
    return link;
  }

  /** Nobody else writes these rows: the totals by day, and the accounts that postings leave alone. */
  private async fold(tx: Tx, added: ReturnType<typeof daysOf>): Promise<void> {
    const ids = [...new Set(added.map((d) => d.accountId))];
    const known = await tx.find(days, { accountId: { in: ids }, day: { in: [...new Set(added.map((d) => d.day))] } });
    const before = new Map(known.map((d) => [`${d.day} ${d.accountId}`, d]));
    await tx.upsert(
      days,
      added.map((d) => {
        const old = before.get(`${d.day} ${d.accountId}`);
        return { ...d, amountNano: d.amountNano + (old?.amountNano ?? 0n), entries: d.entries + (old?.entries ?? 0) };
      }),
    );
    const folded = await tx.find(accounts, { id: { in: ids }, folded: true }, { orderBy: [['id', 'asc']] });
    for (const { id } of folded) {
      const add = added.reduce((a, d) => (d.accountId === id ? a + d.amountNano : a), 0n);
      await tx.update(accounts, { id, folded: true }, { balanceNano: { add }, availableNano: { add } });
    }
  }

  /**
   * Looks at the links after number `after`, at most `limit` of them: recomputes every transaction's digest and the chain. The page that
   * reaches the end also counts what is not sealed and compares all balances with the entries.
   */
  async verify(after = 0, limit = 10): Promise<Verified> {
    return this.store.transaction(WORKER, async (tx) => {
      const end = await tx.first(chain, { singleton: true });
      const sealed = { n: end?.n ?? 0, hash: end?.hash ?? GENESIS, transactions: end?.transactions ?? 0 };
      const start = after === 0 ? null : await tx.first(seals, { n: after });
      const page = await tx.find(seals, { n: { gt: after } }, { orderBy: [['n', 'asc']], limit });
      let before = { n: after, hash: after === 0 ? GENESIS : (start?.hash ?? '') };
      let count = 0;
      const found = (broken: Broken | null, done: boolean, rest: CheckResult | null): Verified => ({
        through: before.n,
        transactions: count,
        broken,
        done,
        sealed,
        rest,
      });
      for (const link of page) {
        const ids = { in: link.transactionIds };
        const broken = checkLink(
          link,
          before,
          await tx.find(transactions, { id: ids }),
          await tx.find(entries, { transactionId: ids }),
        );
        if (broken) return found(broken, true, null);
        before = link;
        count += link.transactionIds.length;
      }
      if (page.length === limit) return found(null, false, null);
      // A link that was made since `end` was read lies behind it; one that is missing does not.
      if (before.n < sealed.n)
        return found({ seal: before.n + 1, transactionId: null, what: 'seal-missing' }, true, null);
      if (before.n === sealed.n && before.hash !== sealed.hash)
        return found({ seal: before.n, transactionId: null, what: 'chain-cut' }, true, null);
      return found(null, true, await tx.call(ledgerCheck, { most: 20 }));
    });
  }
}
