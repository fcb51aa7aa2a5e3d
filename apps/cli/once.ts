import type { Run } from './command.js';
import { Ended, EXIT } from './exit.js';

/** What may have happened, and what the same command with the key does then. */
export interface Once {
  readonly key: string;
  /** Such as "the job may have been submitted". */
  readonly unsure: string;
  /** Such as "submits it once". */
  readonly again: string;
}

/** The answer to what must happen once only; when none came, how to find out what became of it. */
export function answeredOnce<T>(run: Pick<Run, 'login'>, once: Once, answer: Promise<T>): Promise<T> {
  return answer.catch((error: unknown) => {
    if (!(error instanceof Error && error.name === 'BrokerUnreachable') || neverConnected(error)) throw error;
    throw new Ended(
      EXIT.retryLater,
      `no answer came from ${run.login.url}: ${once.unsure}.\n  The same command with --idempotency-key ${once.key} ${once.again}.`,
    );
  });
}

/** Nothing was sent: nobody listens there. */
function neverConnected(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if ('code' in at && (at.code === 'ECONNREFUSED' || at.code === 'ENOTFOUND')) return true;
  return false;
}
