import type { Procedure } from '#platform/database';
import { account, ledgerPost } from '#money/ledger';
import { holds, holdSettle } from '#money/quotas';
import { usageRecords, type UsageRow } from './usage.table.js';

/** What one piece of metered time says of itself; times are ISO text, because they travel as JSON. */
export type TimePiece = Omit<UsageRow, 'organizationId' | 'providerId' | 'transactionId' | Instant> & {
  readonly [K in Instant]: string;
};
type Instant = 'fromAt' | 'toAt' | 'periodHour' | 'periodMonth' | 'createdAt';

/**
 * Pieces of one lease's time become usage records and one ledger transaction: the tenant pays out of the hold as far as it goes,
 * the vendor is owed the cost, the rest is the broker's revenue or, beyond the hold, its exposure. With `settle` the hold ends after that.
 * Null: this time was metered before, and the caller must undo everything.
 */
export const meterTime: Procedure<
  {
    /** The ledger transaction's id and key. */
    id: string;
    key: string;
    organizationId: string;
    reference: string;
    providerId: string;
    holdId: string | null;
    settle: boolean;
    at: number;
    /** In the order of side and start. */
    pieces: readonly TimePiece[];
  },
  { chargedNano: bigint | null }
> = {
  name: 'meter_time',
  args: {
    id: 'text',
    key: 'text',
    organizationId: 'text',
    reference: 'text',
    providerId: 'text',
    holdId: 'text',
    settle: 'bool',
    at: 'time',
    pieces: 'json',
  },
  result: { chargedNano: 'bigint' },
  inMemory: async (tx, { id, key, organizationId, reference, providerId, holdId, settle, at, pieces }) => {
    const sum = (side: 'charge' | 'cost'): bigint =>
      pieces.reduce((a, p) => (p.side === side ? a + p.amountNano : a), 0n);
    const [wanted, cost] = [sum('charge'), sum('cost')];
    const hold = holdId === null ? null : await tx.first(holds, { id: holdId, state: 'held' });
    const left = hold?.remainingNano ?? 0n;
    const chargedNano = left < wanted ? left : wanted;
    if (hold && chargedNano > 0n) await tx.update(holds, { id: hold.id }, { remainingNano: { add: -chargedNano } });
    const posted = await tx.call(ledgerPost, {
      id,
      key,
      kind: 'usage',
      organizationId,
      reference,
      reverses: null,
      at,
      entries: [
        { accountId: account.credit(organizationId), amountNano: -chargedNano, from: 'held' as const },
        { accountId: account.payable(providerId), amountNano: cost, from: 'available' as const },
        { accountId: account.revenue, amountNano: wanted - cost, from: 'available' as const },
        { accountId: account.exposure, amountNano: chargedNano - wanted, from: 'available' as const },
      ].filter((e) => e.amountNano !== 0n),
    });
    if (posted.outcome === 'known') return { chargedNano: null };
    if (posted.outcome === 'short') throw new Error(`account ${posted.shortAccount} does not exist or has too little`);
    let covered = chargedNano;
    const rows = pieces.map((piece): UsageRow => {
      // The record says what the tenant really pays; the newest time carries what the hold did not cover.
      const paid = piece.side === 'cost' || piece.amountNano < covered ? piece.amountNano : covered;
      if (piece.side === 'charge') covered -= paid;
      return {
        ...piece,
        organizationId,
        providerId,
        fromAt: Date.parse(piece.fromAt),
        toAt: Date.parse(piece.toAt),
        periodHour: Date.parse(piece.periodHour),
        periodMonth: Date.parse(piece.periodMonth),
        createdAt: Date.parse(piece.createdAt),
        amountNano: paid,
        transactionId: id,
      };
    });
    await tx.insert(usageRecords, rows);
    if (settle && holdId !== null) await tx.call(holdSettle, { id: holdId, as: 'settled' as const, at });
    return { chargedNano };
  },
};
