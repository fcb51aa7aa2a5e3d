import type { Random } from '#kernel';

const FIRST_MS = 250;
const LONGEST_MS = 30_000;

/**
 * Pause before try `failures + 1`: doubles up to 30 s, and is drawn between half of it and all of it, so that a thousand agents
 * that lost the same broker do not come back in the same instant.
 */
export function backoffMs(failures: number, random: Random): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 20));
  return Math.round(full * (0.5 + random.float() / 2));
}

/** Resolves after `ms`, or at once when the signal aborts. */
export type Pause = (ms: number, signal: AbortSignal) => Promise<void>;

export const pause: Pause = (ms, signal) =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
