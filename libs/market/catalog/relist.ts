import type { Offer } from '#contracts';
import type { Tx } from '#platform/database';
import { offers, type NewOfferRow } from './offers.table.js';
import { catalogUnseen } from './writes.js';

/** A list that lacks fewer offers than this of those that the last one had is believed, whatever their share. */
const FEW = 3;
/** Lists in a row that are doubted; the next one that lacks as much is believed. */
const DOUBTED_AT_MOST = 2;
/** An offer that so many lists in a row lacked is gone. */
const MISSED_AT_MOST = 3;
export const MISSING = 'not in its provider’s last list';
export const EXPIRED = `not in its provider’s last ${MISSED_AT_MOST} lists`;

/**
 * Whether a list is to be doubted because it suddenly lacks most of what the last one had: `listed` offers then, `gone` of them
 * missing now, after `doubtedBefore` doubted lists in a row. A vendor's list that broke off must not take its market away.
 */
export function isDoubtful(of: {
  readonly listed: number;
  readonly gone: number;
  readonly doubtedBefore: number;
}): boolean {
  return of.gone >= FEW && of.gone * 2 > of.listed && of.doubtedBefore < DOUBTED_AT_MOST;
}

/** What a list does to the offers that it lacks. */
export interface Absent {
  /** Kept for now, with a doubt, so that they cannot win. */
  readonly missing: readonly NewOfferRow[];
  readonly expired: readonly string[];
  readonly doubted: boolean;
}

/** The provider's offers that this list lacks, and what becomes of them. */
export async function absentFrom(
  tx: Tx,
  providerId: string,
  list: readonly Offer[],
  doubtedBefore: number,
): Promise<Absent> {
  const { listed, unseen } = await tx.call(catalogUnseen, { providerId, ids: list.map((o) => o.id) });
  const gone = unseen.filter(({ missed }) => missed === 0).length;
  if (isDoubtful({ listed, gone, doubtedBefore })) return { missing: [], expired: [], doubted: true };
  const expired = unseen.filter(({ missed }) => missed + 1 >= MISSED_AT_MOST).map(({ id }) => id);
  const stays = unseen.filter(({ missed }) => missed + 1 < MISSED_AT_MOST).map(({ id }) => id);
  const rows = stays.length === 0 ? [] : await tx.find(offers, { id: { in: stays } });
  const missing = rows.map((row): NewOfferRow => {
    const doubts = [MISSING, ...row.body.doubts.filter((doubt) => doubt !== MISSING)];
    return { ...row, missed: row.missed + 1, doubtful: true, body: { ...row.body, doubts } };
  });
  return { missing, expired, doubted: false };
}
