import { DAY } from '#kernel';

/** A declined invoice is tried again after so many days; then it is left to the dunning schedule and to people. */
export const COLLECT_AGAIN_AFTER_DAYS = [3, 5, 7] as const;

type Try = { readonly state: string; readonly createdAt: number; readonly refundedCents?: bigint };

const wasTakenBack = ({ state, refundedCents = 0n }: Try): boolean =>
  state === 'disputed' || state === 'charged_back' || (state === 'settled' && refundedCents > 0n);

/** Whether an open invoice is to be charged now, from the tries so far. */
export function decideCollection(tries: readonly Try[], nowMs: number): 'charge' | 'under-way' | 'waits' | 'given-up' {
  // Paid, and taken back: the card is not asked for it again, people see to it.
  if (tries.some(wasTakenBack)) return 'given-up';
  const over = ['declined', 'refused', 'settled'];
  if (tries.some((t) => !over.includes(t.state))) return 'under-way';
  const failed = tries.filter((t) => t.state !== 'settled');
  const last = failed.reduce((at, t) => Math.max(at, t.createdAt), 0);
  if (failed.length === 0) return 'charge';
  const days = COLLECT_AGAIN_AFTER_DAYS[failed.length - 1];
  if (days === undefined) return 'given-up';
  return nowMs - last >= days * DAY ? 'charge' : 'waits';
}
