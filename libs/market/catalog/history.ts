import { DAY } from '#kernel';
import { WORKER, type Procedure, type Store, type Tx } from '#platform/database';
import { priceEvents, type PriceEventRow } from './changes.table.js';
import { offers } from './offers.table.js';

export interface HistoryFilter {
  readonly fromMs?: number;
  /** Not included. */
  readonly toMs?: number;
}

/** What an offer cost, newest first; null when nobody ever saw such an offer. `page.after`: the time of the last row before. */
export async function historyOf(
  tx: Tx,
  offerId: string,
  { fromMs, toMs }: HistoryFilter,
  page: { readonly limit: number; readonly after?: readonly unknown[] },
): Promise<PriceEventRow[] | null> {
  // A condition on a column can be one only: the lower end is the end of the list that is read down to it.
  const rows = await tx.find(
    priceEvents,
    { offerId, ...(toMs === undefined ? {} : { at: { lt: toMs } }) },
    { orderBy: [['at', 'desc']], ...page },
  );
  const found = fromMs === undefined ? rows : rows.filter((row) => row.at >= fromMs);
  if (found.length > 0) return found;
  const known = (await tx.first(priceEvents, { offerId })) ?? (await tx.first(offers, { id: offerId }));
  return known ? [] : null;
}

const FORGOTTEN_AT_ONCE = 5_000;

const priceEventsForget: Procedure<{ before: number; most: number }, { forgotten: number }> = {
  name: 'price_events_forget',
  args: { before: 'time', most: 'int' },
  result: { forgotten: 'int' },
  inMemory: async (tx, { before, most }) => {
    const old = await tx.find(priceEvents, { at: { lt: before } }, { orderBy: [['at', 'asc']] });
    let forgotten = 0;
    for (const { offerId, at } of old) {
      if (forgotten === most) break;
      const later = await tx.first(priceEvents, { offerId, at: { gt: at } });
      if (!later && (await tx.first(offers, { id: offerId }))) continue;
      forgotten += await tx.remove(priceEvents, { offerId, at });
    }
    return { forgotten };
  },
};

/** Forgets what offers cost longer than `days` ago, in steps of one transaction each; the price in force of what is there stays. */
export async function forgetPriceEvents(store: Store, days: number): Promise<number> {
  for (let all = 0; ;) {
    const { forgotten } = await store.transaction(WORKER, async (tx) =>
      tx.call(priceEventsForget, { before: (await tx.now()) - days * DAY, most: FORGOTTEN_AT_ONCE }),
    );
    all += forgotten;
    if (forgotten < FORGOTTEN_AT_ONCE) return all;
  }
}
