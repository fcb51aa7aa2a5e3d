import { MINUTE, SECOND, type Random } from '#kernel';

export interface ListingTimes {
  /** From the end of a list to the next. */
  readonly everyMs: number;
  /** A vendor that has not given its whole list by then is left alone until the next try. */
  readonly deadlineMs: number;
  /** The longest wait after failures. */
  readonly backoffMaxMs: number;
  /** Time for writing what was read, until another worker may take over. */
  readonly writeMs: number;
  /** A list that is due for so long is started by whoever sees it, past the queue. */
  readonly overdueMs: number;
}

export const defaultListingTimes: ListingTimes = {
  everyMs: MINUTE,
  deadlineMs: 45 * SECOND,
  backoffMaxMs: 15 * MINUTE,
  writeMs: MINUTE,
  overdueMs: 10 * SECOND,
};

/**
 * How long to wait for the next try: the usual time, doubled with each failure in a row, and never less than the vendor asks for.
 * Up to a quarter is taken off by chance, so that providers that were connected together do not stay in step.
 */
export function listingWaitMs(
  times: Pick<ListingTimes, 'everyMs' | 'backoffMaxMs'>,
  failures: number,
  retryAfterMs: number | null,
  random: Pick<Random, 'float'>,
): number {
  const most = Math.max(times.everyMs, times.backoffMaxMs);
  const whole = Math.min(times.everyMs * 2 ** Math.min(Math.max(failures - 1, 0), 30), most);
  const wait = Math.round(whole * (1 - random.float() / 4));
  return Math.max(wait, Math.min(retryAfterMs ?? 0, most));
}
