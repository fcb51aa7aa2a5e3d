import { beforeEach, describe, expect, it } from '@jest/globals';
import { HOUR, ManualClock, MINUTE } from '#kernel';
import { vendorErrorKinds } from '#contracts';
import { MemoryStore, WORKER } from '#platform/database';
import { blockedScopes, failureMemory, rememberFailure } from './failure-memory.js';

const offer = { id: 'sandbox:prv_1/gpu:x/r1', providerId: 'prv_1', region: 'eu/north:1' };
let clock: ManualClock;
let store: MemoryStore;

beforeEach(() => {
  clock = new ManualClock();
  store = new MemoryStore(clock);
});

type Failure = Parameters<typeof rememberFailure>[2];
const remember = (over: Partial<Failure> = {}) =>
  store.transaction(WORKER, (tx) =>
    rememberFailure(tx, offer, { kind: 'no-capacity', scope: 'offer', message: 'm', ...over }),
  );
const blocked = () => store.transaction(WORKER, blockedScopes);
const blockMs = async (): Promise<number> => ((await blocked())[0]?.untilMs ?? clock.now()) - clock.now();

describe('the memory of failures', () => {
  it('doubles the block with each strike, up to an hour', async () => {
    const seen: number[] = [];
    for (let i = 0; i < 7; i++) {
      await remember();
      seen.push((await blockMs()) / MINUTE);
    }
    expect(seen).toEqual([2, 4, 8, 16, 32, 60, 60]);
    expect(store.rows(failureMemory)).toMatchObject([{ strikes: 7, kind: 'no-capacity' }]);
  });

  it('forgives after a quiet hour, and not before', async () => {
    await remember();
    await remember();
    clock.advance(HOUR - 1);
    await remember();
    expect(await blockMs()).toBe(8 * MINUTE);
    clock.advance(HOUR);
    await remember();
    expect(await blockMs()).toBe(2 * MINUTE);
  });

  it('lets go when the time is over', async () => {
    await remember();
    clock.advance(2 * MINUTE - 1);
    expect(await blocked()).toHaveLength(1);
    clock.advance(1);
    expect(await blocked()).toEqual([]);
  });

  it('blocks what failed and nothing wider, whatever is in the names', async () => {
    await remember({ scope: 'offer' });
    await remember({ scope: 'zone' });
    await remember({ scope: 'region' });
    await remember({ scope: 'account' });
    expect((await blocked()).map((b) => b.scope)).toEqual([
      { kind: 'offer', offerId: offer.id },
      { kind: 'region', providerId: 'prv_1', region: 'eu/north:1' },
      { kind: 'account', providerId: 'prv_1' },
    ]);
  });

  it('waits as long as the vendor says where it says so', async () => {
    await remember({ kind: 'rate-limited', retryAfterMs: 7_000 });
    expect(await blockMs()).toBe(7_000);
    await remember({ kind: 'rate-limited', retryAfterMs: null });
    expect(await blockMs()).toBe(30_000);
  });

  it('blocks for a time that fits the failure, and not at all where the offer is not at fault', async () => {
    const first: Record<string, number> = {};
    for (const kind of [...vendorErrorKinds, 'boot-failed', 'lost', 'preempted'] as const) {
      store = new MemoryStore(clock);
      await remember({ kind });
      first[kind] = (await blockMs()) / 1_000;
    }
    expect(first).toEqual({
      'no-capacity': 120,
      'quota-exceeded': 600,
      'invalid-request': 1_800,
      unauthorized: 600,
      'payment-required': 600,
      'rate-limited': 15,
      'not-found': 0,
      conflict: 0,
      transient: 10,
      'outcome-unknown': 60,
      'boot-failed': 120,
      lost: 120,
      preempted: 60,
    });
  });

  it('keeps long messages short', async () => {
    await remember({ message: 'x'.repeat(10_000) });
    expect(store.rows(failureMemory)[0]?.message).toHaveLength(500);
  });
});
