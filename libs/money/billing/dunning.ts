import { DAY } from '#kernel';
import type { BillingSettings } from './settings.js';

export type DunningAction = 'remind' | 'pause' | 'stop';

export interface DunningStep {
  readonly action: DunningAction;
  readonly days: number;
}

/** What happens after the due date, in order; on one day the reminder comes before what it warns of. */
export function dunningSteps(s: Pick<BillingSettings, 'remindDays' | 'pauseDays' | 'stopDays'>): DunningStep[] {
  const rank: Readonly<Record<DunningAction, number>> = { remind: 0, pause: 1, stop: 2 };
  return [
    ...s.remindDays.map((days) => ({ action: 'remind' as const, days })),
    { action: 'pause' as const, days: s.pauseDays },
    { action: 'stop' as const, days: s.stopDays },
  ].sort((a, b) => a.days - b.days || rank[a.action] - rank[b.action]);
}

/** The steps whose time has come and that were not taken, and when the next one comes; null: none. */
export function dunningDue(
  steps: readonly DunningStep[],
  invoice: { readonly dueAt: number; readonly dunned: number },
  nowMs: number,
): { readonly take: readonly DunningStep[]; readonly nextAt: number | null } {
  const left = steps.slice(invoice.dunned);
  const at = (step: DunningStep): number => invoice.dueAt + step.days * DAY;
  const take = left.filter((step) => at(step) <= nowMs);
  const next = left[take.length];
  return { take, nextAt: next ? at(next) : null };
}
