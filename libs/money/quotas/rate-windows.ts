import type { QuotaAlert, QuotaAmounts } from './quotas.procedures.js';
import { thresholdOf, windowStart } from './room.js';
import type { QuotaRow } from './quotas.table.js';

export type RateRow = Pick<
  QuotaRow,
  'id' | 'scope' | 'scopeId' | 'dimension' | 'per' | 'limitN' | 'mode' | 'used' | 'windowStart' | 'alerted'
>;

/**
 * Limits on requests and tokens, as work that comes in pieces counts against them: a piece goes where it fits, and where nothing was used
 * yet, so that one larger than a limit goes alone instead of never. It counts whole on every limit. Pure; the rows are locked by who keeps them.
 */
export class RateWindows {
  private readonly rows: (RateRow & { isChanged: boolean })[];

  constructor(rows: readonly RateRow[], nowMs: number) {
    // A clock that is behind counts in the window that has begun.
    const atMs = Math.max(nowMs, ...rows.map((q) => q.windowStart));
    this.rows = rows.map((q) => {
      const start = windowStart(q.per, atMs);
      const now = q.windowStart < start ? { used: 0n, alerted: 0, windowStart: start } : {};
      return { ...q, ...now, isChanged: false };
    });
  }

  /** Counts a piece of work of these scopes; false: a limit has no room for it in its window, and nothing was counted. */
  admit(scopeIds: readonly (string | null)[], amounts: QuotaAmounts): boolean {
    const limits = this.rows.filter((q) => scopeIds.includes(q.scopeId) && (amounts[q.dimension] ?? 0n) > 0n);
    const fits = (q: RateRow): boolean =>
      q.mode === 'soft' || (amounts[q.dimension] ?? 0n) <= q.limitN - q.used || (q.used === 0n && q.limitN > 0n);
    if (!limits.every(fits)) return false;
    for (const q of limits) {
      q.used += amounts[q.dimension] ?? 0n;
      q.isChanged = true;
    }
    return true;
  }

  /** What was counted on, as it is to be written, and the thresholds of soft limits that were reached by it. */
  counted(): { rows: readonly Pick<RateRow, 'id' | 'used' | 'windowStart' | 'alerted'>[]; alerts: QuotaAlert[] } {
    const alerts: QuotaAlert[] = [];
    const rows = this.rows
      .filter((q) => q.isChanged)
      .map(({ id, scope, scopeId, dimension, per, limitN, mode, used, windowStart: start, alerted }) => {
        const percent = thresholdOf(used, limitN);
        const tell = mode === 'soft' && percent > alerted;
        if (tell)
          alerts.push({
            quotaId: id,
            scope,
            scopeId,
            dimension,
            per,
            limit: String(limitN),
            used: String(used),
            percent,
          });
        return { id, used, windowStart: start, alerted: tell ? percent : alerted };
      });
    return { rows, alerts };
  }
}
