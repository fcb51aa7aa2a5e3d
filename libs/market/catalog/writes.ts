import type { Procedure, Tx } from '#platform/database';
import { catalogMarks, offerRemovals, priceEvents, type PriceEventRow } from './changes.table.js';
import { offers, type NewOfferRow, type OfferRow } from './offers.table.js';

/** How many offers of a published list were new, different, the same but seen again after a while, or just the same. */
export interface Published {
  readonly added: number;
  readonly changed: number;
  readonly refreshed: number;
  readonly unchanged: number;
}

/**
 * Writes what differs from what is there, with a price event where the price or the availability did. What is the same is only
 * written when it was last seen `refreshMs` ago or longer.
 */
export const catalogPublish: Procedure<{ offers: readonly NewOfferRow[]; at: number; refreshMs: number }, Published> = {
  name: 'catalog_publish',
  args: { offers: 'json', at: 'time', refreshMs: 'int' },
  result: { added: 'int', changed: 'int', refreshed: 'int', unchanged: 'int' },
  inMemory: async (tx, { offers: given, at, refreshMs }) => {
    const counts = { added: 0, changed: 0, refreshed: 0, unchanged: 0 };
    const revision = await nextRevision(tx);
    for (const row of given) {
      const before = await tx.first(offers, { id: row.id });
      const what = difference(before, row, refreshMs);
      counts[what]++;
      if (what === 'unchanged') continue;
      await tx.upsert(offers, [{ ...row, revision }]);
      if (what === 'added') await tx.remove(offerRemovals, { id: row.id });
      const told = !before || before.pricePerHour !== row.pricePerHour || available(before) !== available(row);
      if (told) await tx.upsert(priceEvents, [eventOf(row, at, what === 'added' ? 'listed' : 'changed')]);
    }
    return counts;
  },
};

/** How many offers a provider's last list had, and which of its offers are not among these ids. */
export const catalogUnseen: Procedure<
  { providerId: string; ids: readonly string[] },
  { listed: number; unseen: readonly { readonly id: string; readonly missed: number }[] }
> = {
  name: 'catalog_unseen',
  args: { providerId: 'text', ids: 'texts' },
  result: { listed: 'int', unseen: 'json' },
  inMemory: async (tx, { providerId, ids }) => {
    const seen = new Set(ids);
    const known = await tx.find(offers, { providerId }, { orderBy: [['id', 'asc']] });
    const unseen = known.filter(({ id }) => !seen.has(id)).map(({ id, missed }) => ({ id, missed }));
    return { listed: known.filter(({ missed }) => missed === 0).length, unseen };
  },
};

/** Takes offers out, each with a price event that says why (the reason at the same place); ids that are not there do nothing. */
export const catalogWithdraw: Procedure<
  { ids: readonly string[]; whys: readonly string[]; at: number },
  { removed: number }
> = {
  name: 'catalog_withdraw',
  args: { ids: 'texts', whys: 'texts', at: 'time' },
  result: { removed: 'int' },
  inMemory: async (tx, { ids, whys, at }) => {
    const gone = ids.length === 0 ? [] : await tx.find(offers, { id: { in: ids } });
    if (gone.length === 0) return { removed: 0 };
    const reasons = new Map(ids.map((id, i) => [id, whys[i]]));
    const revision = await nextRevision(tx);
    await tx.remove(offers, { id: { in: ids } });
    await tx.upsert(
      offerRemovals,
      gone.map(({ id }) => ({ id, revision, removedAt: at })),
    );
    await tx.upsert(
      priceEvents,
      gone.map((row) => ({
        ...eventOf(row, at, 'gone'),
        stock: 0,
        available: false,
        why: reasons.get(row.id) ?? null,
      })),
    );
    return { removed: gone.length };
  },
};

/** Revisions below `low` are all visible or undone; none at or above `high` is visible yet. */
export const catalogHorizon: Procedure<object, { low: bigint; high: bigint }> = {
  name: 'catalog_horizon',
  args: {},
  result: { low: 'bigint', high: 'bigint' },
  // Transactions in memory run one after another: every revision given out so far is visible.
  inMemory: async (tx) => {
    const next = ((await tx.first(catalogMarks, { name: 'revision' }))?.value ?? 0n) + 1n;
    return { low: next, high: next };
  },
};

/** Forgets removals of before a moment, and remembers up to which revision; revisions of another database (before a restore) do not count. */
export const catalogRemovalsForget: Procedure<{ before: number }, { forgotten: number }> = {
  name: 'catalog_removals_forget',
  args: { before: 'time' },
  result: { forgotten: 'int' },
  inMemory: async (tx, { before }) => {
    const gone = await tx.find(offerRemovals, { removedAt: { lt: before } });
    if (gone.length === 0) return { forgotten: 0 };
    const { high } = await tx.call(catalogHorizon, {});
    const mark = (await tx.first(catalogMarks, { name: REMOVALS_KNOWN_ABOVE }))?.value ?? 0n;
    const known = mark < high ? mark : 0n;
    const own = gone.filter(({ revision }) => revision < high);
    const through = own.reduce((most, { revision }) => (revision > most ? revision : most), 0n);
    await tx.remove(offerRemovals, { removedAt: { lt: before } });
    if (own.length > 0)
      await tx.upsert(catalogMarks, [{ name: REMOVALS_KNOWN_ABOVE, value: through > known ? through : known }]);
    return { forgotten: gone.length };
  },
};

export const REMOVALS_KNOWN_ABOVE = 'removals-known-above';

async function nextRevision(tx: Tx): Promise<bigint> {
  const value = ((await tx.first(catalogMarks, { name: 'revision' }))?.value ?? 0n) + 1n;
  await tx.upsert(catalogMarks, [{ name: 'revision', value }]);
  return value;
}

function difference(before: OfferRow | null, row: NewOfferRow, refreshMs: number): keyof Published {
  if (!before) return 'added';
  const same = before.pricePerHour === row.pricePerHour && before.missed === row.missed;
  if (!same || jsonText(before.body) !== jsonText(row.body)) return 'changed';
  return row.observedAt >= before.observedAt + refreshMs ? 'refreshed' : 'unchanged';
}

/** Equal for what is equal as JSON, whatever the order of keys. */
const jsonText = (value: unknown): string =>
  JSON.stringify(value, (_, v: unknown) =>
    typeof v === 'object' && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  );

const available = (row: NewOfferRow): boolean => !row.doubtful && row.body.stock !== 0;

function eventOf(row: NewOfferRow, at: number, kind: PriceEventRow['kind']): PriceEventRow {
  const { id: offerId, pricePerHour, source, body } = row;
  return {
    offerId,
    at,
    kind,
    pricePerHour,
    stock: body.stock,
    available: available(row),
    source,
    why: body.doubts[0] ?? null,
  };
}
