import type { Offer } from '#contracts';
import type { Table, Tx, Where } from '#platform/database';
import { catalogMarks, offerRemovals } from './changes.table.js';
import { offers, toOffer, type OfferRow } from './offers.table.js';
import { catalogHorizon, REMOVALS_KNOWN_ABOVE } from './writes.js';

/** How the catalog stands for what changed between two looks; no id is in both lists. */
export interface CatalogChanges {
  /** Where the next look begins. */
  readonly revision: bigint;
  /** Offers that are new or were written again, as they are now. */
  readonly upserts: readonly Offer[];
  readonly removedIds: readonly string[];
}

/** Offers read at once while the whole catalog is read. */
const PAGE = 5_000;

/** Where a reader that reads everything from here on begins with `changesSince`: to be asked before the first page. */
export async function catalogRevision(tx: Tx): Promise<bigint> {
  return (await tx.call(catalogHorizon, {})).low;
}

/** Every offer, in pages in the order of ids. */
export async function* allOffers(
  tx: Tx,
  status?: OfferRow['status'],
  pageSize = PAGE,
): AsyncGenerator<readonly Offer[], void, void> {
  let after: readonly string[] | undefined;
  for (;;) {
    const rows = await tx.find(offers, status === undefined ? {} : { status }, {
      orderBy: [['id', 'asc']],
      limit: pageSize,
      ...(after ? { after } : {}),
    });
    if (rows.length > 0) yield rows.map(toOffer);
    const last = rows.at(-1);
    if (rows.length < pageSize || !last) return;
    after = [last.id];
  }
}

/**
 * What changed since a look that gave `since`; null when that is so long ago that removals are forgotten: then everything is to
 * be read anew.
 */
export async function changesSince(tx: Tx, since: bigint): Promise<CatalogChanges | null> {
  const { low, high } = await tx.call(catalogHorizon, {});
  // A revision of the future is of another database, such as the one before a restore.
  if (since > high) return null;
  // Rows of before a restore can have revisions that this database has not reached: those at or above `high` are no news.
  const window = { gte: since, lt: high } as const;
  const changed = await changedRows(tx, offers, window);
  const removed = new Set((await changedRows(tx, offerRemovals, window)).map(({ id }) => id));
  // Withdrawn and listed again at about the same time: what is there counts.
  const there = removed.size === 0 ? [] : await tx.find(offers, { id: { in: [...removed] } });
  for (const { id } of there) removed.delete(id);
  // Asked last: what is forgotten while this reads is then told of.
  const forgotten = (await tx.first(catalogMarks, { name: REMOVALS_KNOWN_ABOVE }))?.value ?? -1n;
  // A mark of the future is of another database too, and says nothing.
  if (since <= forgotten && forgotten < (await tx.call(catalogHorizon, {})).high) return null;
  const upserts = new Map(changed.filter(({ id }) => !removed.has(id)).map((row) => [row.id, row]));
  for (const row of there) upserts.set(row.id, row);
  return { revision: low, upserts: [...upserts.values()].map(toOffer), removedIds: [...removed] };
}

/** What was written at or above `gte` and below `lt`, in the order of revisions. */
async function changedRows<R extends { id: string; revision: bigint }>(
  tx: Tx,
  of: Table<R>,
  { gte, lt }: { readonly gte: bigint; readonly lt: bigint },
): Promise<R[]> {
  const found: R[] = [];
  // Read backwards from `lt` (no id comes before the empty one), so that what is at or above it is never read.
  let after: readonly [bigint, string] = [lt, ''];
  for (;;) {
    const rows = await tx.find(of, { revision: { gte } } as Where<R>, {
      orderBy: [
        ['revision', 'desc'],
        ['id', 'desc'],
      ],
      limit: PAGE,
      after,
    });
    for (const row of rows) found.push(row);
    const last = rows.at(-1);
    if (rows.length < PAGE || !last) return found.reverse();
    after = [last.revision, last.id];
  }
}
