import { beforeEach, describe, expect, it } from '@jest/globals';
import { HOUR, ManualClock, MINUTE } from '#kernel';
import { vendorErrorKinds } from '#contracts';
import { MemoryStore, WORKER } from '#platform/database';
import { blockedScopes, failureMemory, rememberFailure } from './failure-memory.js';

const offer = {
  id: 'sandbox:prv_1/gpu:x/r1',
  providerId: 'prv_1',
  region: 'eu/north:1',
  pricing: 'on-demand',
} as const;
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

  it('leaves a vendor alone as long as it asks, an hour at most, and does not hear what is no time', async () => {
    const seen: number[] = [];
    for (const retryAfterMs of [90_000, 10 * 365 * 24 * HOUR, Infinity, -HOUR]) {
      await remember({ kind: 'rate-limited', retryAfterMs });
      seen.push(await blockMs());
    }
    expect(seen).toEqual([90_000, HOUR, HOUR, 0]);
    await remember({ kind: 'rate-limited', retryAfterMs: Number.NaN });
    expect(await blockMs()).toBe(16 * 15_000);
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

  it('takes a zone to be full after three refusals of offers in it, for a while that grows and fades', async () => {
    const inZone = (n: number, over: Partial<Failure> = {}) =>
      store.transaction(WORKER, (tx) =>
        rememberFailure(
          tx,
          { id: `offer-${n}`, providerId: 'prv_1', region: 'eu', zone: 'eu/a:1', pricing: 'on-demand' },
          { kind: 'no-capacity', scope: 'offer', message: 'm', ...over },
        ),
      );
    const zone = async () => (await blocked()).find((b) => b.scope.kind === 'zone');
    // Whatever else goes wrong with offers there says nothing about the zone.
    for (const kind of ['boot-failed', 'lost', 'invalid-request'] as const) await inZone(0, { kind });
    await inZone(1);
    await inZone(2);
    expect(await zone()).toBeUndefined();
    await inZone(3);
    expect(await zone()).toEqual({
      scope: { kind: 'zone', providerId: 'prv_1', zone: 'eu/a:1' },
      untilMs: clock.now() + 2 * MINUTE,
    });
    await inZone(4);
    expect((await zone())?.untilMs).toBe(clock.now() + 4 * MINUTE);
    clock.advance(4 * MINUTE);
    expect(await zone()).toBeUndefined();
    // Four strikes are two after 20 minutes: the next is the third again.
    clock.advance(16 * MINUTE);
    await inZone(5);
    expect((await zone())?.untilMs).toBe(clock.now() + 2 * MINUTE);
    clock.advance(40 * MINUTE);
    await inZone(6);
    expect(await zone()).toBeUndefined();
  });

  it.each([
    ['a second', 1_000],
    ['a minute', MINUTE],
    ['five minutes', 5 * MINUTE],
  ])('counts refusals in a zone that come %s apart', async (_, apartMs) => {
    const zone = async () => (await blocked()).find((b) => b.scope.kind === 'zone');
    for (const id of ['first', 'second', 'third']) {
      expect(await zone()).toBeUndefined();
      clock.advance(apartMs);
      await store.transaction(WORKER, (tx) =>
        rememberFailure(tx, { ...offer, id, zone: 'a' }, { kind: 'no-capacity', scope: 'offer', message: 'm' }),
      );
    }
    expect((await zone())?.untilMs).toBe(clock.now() + 2 * MINUTE);
  });

  it('takes no zone to be full because it has no spot machines', async () => {
    for (const id of ['first', 'second', 'third', 'fourth'])
      await store.transaction(WORKER, (tx) =>
        rememberFailure(
          tx,
          { ...offer, id, zone: 'a', pricing: 'spot' },
          { kind: 'no-capacity', scope: 'offer', message: 'm' },
        ),
      );
    expect((await blocked()).map((b) => b.scope.kind)).toEqual(['offer', 'offer', 'offer', 'offer']);
  });

  it('blocks a zone at once where the vendor names it, and the account for what is the account’s', async () => {
    const there = { ...offer, zone: 'a' };
    const failed = (kind: Failure['kind'], scope: Failure['scope']) =>
      store.transaction(WORKER, (tx) => rememberFailure(tx, there, { kind, scope, message: 'm' }));
    await failed('no-capacity', 'zone');
    await failed('payment-required', 'offer');
    expect((await blocked()).map((b) => b.scope)).toEqual([
      { kind: 'zone', providerId: 'prv_1', zone: 'a' },
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
