import type { Random } from '#kernel';
import { BrokerError } from '../sync/broker-client.js';
import { backoffMs, type Pause } from '../sync/backoff.js';
import { WorkFailure } from './runner.js';

/** The broker has given this work to somebody else: what was computed here is void. */
export class FenceIsOver extends Error {
  constructor() {
    super('the broker refused this fence');
    this.name = 'FenceIsOver';
  }
}

/** Repeats a transfer until it succeeds, is refused for good, or the work is stopped. */
export class Transfers {
  constructor(
    private readonly random: Random,
    private readonly pause: Pause,
  ) {}

  async retry(code: string, signal: AbortSignal, attempt: () => Promise<void>): Promise<void> {
    for (let failures = 1; ; failures++) {
      try {
        return await attempt();
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof BrokerError)) throw error;
        if (error.kind === 'stale-fence') throw new FenceIsOver();
        if (error.kind === 'refused') throw new WorkFailure(code, error.message);
        // A dead credential too: the sync loop meets the same answer and ends everything.
        await this.pause(error.retryAfterMs ?? backoffMs(failures, this.random), signal);
        signal.throwIfAborted();
      }
    }
  }
}
