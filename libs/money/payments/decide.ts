import { DAY, HOUR, MINUTE, SECOND } from '#kernel';

/** A call is given up after a third of this; a row that stands longer was left by a process that died. */
export const CALL_MS = MINUTE;

/** Processors forget keys after a day. An hour earlier ours count as forgotten, so that clocks may differ. */
const KEY_LIVES_MS = 23 * HOUR;

/** After so long something that surely never happened is given up. */
const GIVE_UP_AFTER_MS = DAY;

const LONGEST_WAIT_MS = 5 * MINUTE;

export interface Effect {
  readonly state: string;
  readonly wakeAt: number | null;
  readonly keyAt: number | null;
  readonly spent: boolean;
  readonly createdAt: number;
}

/** What to do next about an effect outside. */
export type Step =
  | { readonly do: 'rest' }
  /** Nothing is out: send the request, with the key that the row has. */
  | { readonly do: 'call' }
  /** Whoever sent the request is gone. */
  | { readonly do: 'doubt' }
  /** Find out whether it happened; if not, send it, with a new key where the old one does not serve any more. */
  | { readonly do: 'find' }
  /** Find out a last time whether it happened; if not, it never will. */
  | { readonly do: 'give-up' };

/** For the states that every effect goes through on its way to the processor; others are the effect's own. */
export function nextStep(row: Effect, nowMs: number): Step {
  if (row.wakeAt !== null && row.wakeAt > nowMs) return { do: 'rest' };
  switch (row.state) {
    case 'intended':
      return { do: 'call' };
    case 'calling':
      return { do: 'doubt' };
    case 'unknown':
      return { do: 'find' };
    case 'retrying':
      if (nowMs - row.createdAt >= GIVE_UP_AFTER_MS) return { do: 'give-up' };
      return needsNewKey(row, nowMs) ? { do: 'find' } : { do: 'call' };
    default:
      return { do: 'rest' };
  }
}

/**
 * Sending again what was not found. The same key is safe while the processor knows it: work still going on under it is answered with
 * "busy", work that is done with its result. A new key is safe only when no work can be going on under the old one.
 */
export function needsNewKey({ keyAt, spent }: Pick<Effect, 'keyAt' | 'spent'>, nowMs: number): boolean {
  return spent || (keyAt !== null && nowMs - keyAt >= KEY_LIVES_MS);
}

/** How long to wait after so many failures or looks in a row. */
export function waitMs(failures: number, least = SECOND): number {
  return Math.min(LONGEST_WAIT_MS, least * 2 ** Math.min(failures, 20));
}
