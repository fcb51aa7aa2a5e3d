import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HOUR, MINUTE } from '#kernel';
import { gangEvidence, learntPriors, reliabilityProgress, type ReliabilityPriors } from '#market/reliability';
import { leaseWith, specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { learnFromLeases } from './index.js';
import { leases, type LeasedOffer, type LeaseRow } from './leases.table.js';
import { batchesOf } from './losses.js';

const AT = Date.UTC(2026, 10, 21, 12);
const machine = leaseWith().offer;
let n = 0;
const ran = (over: Partial<LeaseRow> = {}, offer: Partial<LeasedOffer> = {}): LeaseRow =>
  leaseWith({
    id: `lease_${n++}`,
    state: 'ready',
    acceptedAt: AT - HOUR,
    offer: { ...machine, pricing: 'spot', zone: 'r1-a', ...offer },
    ...over,
  });
const ended = (at: number, endReason: LeaseRow['endReason'], offer: Partial<LeasedOffer> = {}): LeaseRow =>
  ran({ state: 'ended', endedAt: at, endReason }, offer);
const brief = (all: readonly LeaseRow[]) =>
  batchesOf(all, AT).map(({ way, members, lost }) => ({ way, members, lost }));

describe('machines that are lost together', () => {
  it('are those of one place that were lost within ten minutes, of all that ran there for as long or were lost', () => {
    const all = [
      ended(AT, 'preempted'),
      ended(AT + 10 * MINUTE - 1, 'lost'),
      ran(),
      ran({ state: 'draining' }),
      // Given back: it was there for a part only.
      ended(AT + MINUTE, 'released'),
      // Lost later.
      ended(AT + 10 * MINUTE, 'preempted'),
    ];
    expect(batchesOf(all, AT)).toEqual([{ way: 'spot', atMs: AT, members: 5, lost: 2 }]);
  });

  it('were there when it began: not yet accepted, or gone before, is not there', () => {
    const none = [
      ran({ acceptedAt: null }),
      ran({ acceptedAt: AT }),
      ended(AT - 1, 'preempted'),
      ran({ acceptedAt: null, state: 'ended', endedAt: AT + 1, endReason: 'failed' }),
    ];
    expect(brief([ended(AT + 1, 'failed'), ran(), ...none])).toEqual([{ way: 'spot', members: 2, lost: 1 }]);
  });

  it('are of one provider, zone, kind and way of renting', () => {
    const lost = (offer: Partial<LeasedOffer>): LeaseRow[] => [ended(AT, 'preempted', offer), ran({}, offer)];
    for (const offer of [{ zone: 'r1-b' }, { sku: 'other' }, { providerId: 'prv_2' }])
      expect(brief([...lost({}), ...lost(offer)])).toEqual([
        { way: 'spot', members: 2, lost: 1 },
        { way: 'spot', members: 2, lost: 1 },
      ]);
    expect(brief([...lost({}), ...lost({ pricing: 'on-demand' })]).map((b) => b.way)).toEqual(['spot', 'steady']);
    // Where no zone is known, the region is the place.
    const { zone: _, ...bare } = machine;
    const nowhere = (region: string, at: number | null): LeaseRow =>
      at === null ? ran({ offer: { ...bare, region } }) : { ...ended(at, 'lost'), offer: { ...bare, region } };
    expect(brief([nowhere('x', AT), nowhere('x', null), nowhere('y', null)])).toEqual([
      { way: 'steady', members: 2, lost: 1 },
    ]);
  });

  it('are none where none was lost', () => {
    expect(batchesOf([ran(), ended(AT + 1, 'released'), ended(AT + 1, 'unpaid')], AT)).toEqual([]);
  });
});

describe.each(specStores)('what losses teach of gangs, $name', ({ open }) => {
  let s: SpecStore;
  let till: Till;
  let tenants: Tenant[];
  let span: number;
  beforeEach(async () => {
    s = await open();
    till = await openTill(s);
    tenants = [await till.tenant('0'), await till.tenant('0')];
    const now = await till.tx((tx) => tx.now());
    span = Math.floor((now - MINUTE) / (10 * MINUTE)) * 10 * MINUTE - 10 * MINUTE;
  });
  afterEach(() => s.close());

  const put = (list: readonly LeaseRow[]): Promise<void> =>
    till.tx((tx) =>
      tx.insert(
        leases,
        list.map((lease, i) => ({ ...lease, ...tenants[i % tenants.length], jobId: null, holdId: null })),
      ),
    );
  /** Eight machines of two tenants in one zone, of which so many were lost in one span. */
  const zoneWith = (lost: number, at: number): LeaseRow[] =>
    Array.from({ length: 8 }, (_, i) => ({
      ...(i < lost ? ended(at + 2 * MINUTE, 'preempted') : ran()),
      acceptedAt: at - HOUR,
    }));
  const priors = (): Promise<ReliabilityPriors> => till.tx(learntPriors);
  const told = async () => (await till.tx((tx) => tx.find(gangEvidence, {}))).map((r) => [r.way, r.evidence.batches]);

  it('goes from the leases of all tenants to the exponent, each loss once', async () => {
    expect((await priors()).gang?.spot).toBeUndefined();
    await put(zoneWith(1, span));
    await learnFromLeases(till.store);
    const one = (await priors()).gang;
    expect(one?.spot?.batches).toBe(1);
    expect(one?.spot?.exponent).toBeGreaterThan(0.4);
    expect(one?.steady).toBeUndefined();
    await learnFromLeases(till.store);
    expect(await told()).toEqual([['spot', 1]]);
  });

  it('goes down where all of a zone is lost at once', async () => {
    await put(zoneWith(8, span));
    await learnFromLeases(till.store);
    expect((await priors()).gang?.spot?.exponent).toBeLessThan(0.4);
  });

  it('waits until a span is over, and takes it then', async () => {
    await put(zoneWith(2, span + 20 * MINUTE));
    await learnFromLeases(till.store);
    expect(await told()).toEqual([]);
    // As if the next look came later: what was looked at last is all that it goes by.
    await till.tx((tx) => tx.update(reliabilityProgress, { name: 'lease-losses' }, { through: span - 10 * MINUTE }));
    await put(zoneWith(2, span));
    await learnFromLeases(till.store);
    expect(await told()).toEqual([['spot', 1]]);
  });

  it('counts a loss once where several look at the same time', async () => {
    await put(zoneWith(3, span));
    await Promise.all(Array.from({ length: 4 }, () => learnFromLeases(till.store)));
    await learnFromLeases(till.store);
    expect(await told()).toEqual([['spot', 1]]);
  });

  it('leaves what was lost long before the first look', async () => {
    await put(zoneWith(4, span - 3 * HOUR));
    await learnFromLeases(till.store);
    expect(await told()).toEqual([]);
  });
});
