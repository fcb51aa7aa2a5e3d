import { DomainError } from '#kernel';
import type { Actor, Store } from '#platform/database';
import type { HoldRequest, Holds } from './holds.service.js';
import type { HoldRow } from './holds.table.js';

interface Waiting {
  readonly request: HoldRequest;
  readonly done: (hold: HoldRow) => void;
  readonly failed: (error: unknown) => void;
}

const MOST_AT_ONCE = 100;

/**
 * Reservations of their own, many of one organization at the same time: while one transaction holds the organization's row, those that come
 * meanwhile wait here and go together in the next one. Each is taken or refused by itself.
 */
export class HoldGroup {
  private readonly waiting = new Map<string, Waiting[]>();

  constructor(
    private readonly store: Store,
    private readonly holds: Holds,
    private readonly actor: Actor,
  ) {}

  take(request: HoldRequest): Promise<HoldRow> {
    return new Promise((done, failed) => {
      const queue = this.waiting.get(request.organizationId);
      const mine = { request, done, failed };
      if (queue) queue.push(mine);
      else {
        this.waiting.set(request.organizationId, [mine]);
        void this.drain(request.organizationId);
      }
    });
  }

  private async drain(organizationId: string): Promise<void> {
    for (;;) {
      const queue = this.waiting.get(organizationId) ?? [];
      if (queue.length === 0) {
        this.waiting.delete(organizationId);
        return;
      }
      await this.together(queue.splice(0, MOST_AT_ONCE));
    }
  }

  private async together(group: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.store.transaction(this.actor, async (tx) => {
        const found: (HoldRow | DomainError)[] = [];
        for (const { request } of group)
          found.push(
            await this.holds.take(tx, request).catch((error: unknown) => {
              // A refusal has done nothing; anything else undoes the whole group.
              if (error instanceof DomainError) return error;
              throw error;
            }),
          );
        return found;
      });
      group.forEach(({ done, failed }, i) => {
        const outcome = outcomes[i];
        if (outcome === undefined || outcome instanceof DomainError) failed(outcome);
        else done(outcome);
      });
    } catch (error) {
      for (const { failed } of group) failed(error);
    }
  }
}
