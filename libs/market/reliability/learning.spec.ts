import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { HOUR } from '#kernel';
import { WORKER } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import {
  believed,
  defaultPriors,
  foldOutcomes,
  leaseOutcomes,
  learntPriors,
  noteOutcome,
  reliabilityEvidence,
  reliabilityOf,
  scopesOf,
  type EvidenceRow,
  type OutcomeRow,
  type ScopeEvidence,
} from './index.js';
import { learn } from './beliefs.js';

const NOW = Date.UTC(2026, 10, 21);
let n = 0;
const outcome = (over: Partial<OutcomeRow> = {}): OutcomeRow => ({
  id: `lease_${n++}/x`,
  providerKind: 'decentralized',
  providerId: 'prv_a',
  region: 'eu/north:1',
  sku: 'gpu:x',
  pricing: 'spot',
  hostId: null,
  kind: 'started',
  at: NOW,
  bootS: null,
  fromAgeS: null,
  ageS: null,
  ...over,
});
const spot = { providerKind: 'decentralized', pricing: 'spot' } as const;
const table = defaultPriors.byKind.decentralized.spot;
const after = (outcomes: readonly OutcomeRow[]): Map<string, ScopeEvidence> => {
  const known = new Map<string, ScopeEvidence>();
  for (const o of outcomes) learn(known, o);
  return known;
};
const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

describe('what leases teach', () => {
  it('is nothing where nothing was seen', () => {
    expect(believed(new Map(), spot, NOW)).toBeNull();
  });

  it('moves the provider most, others of its kind less, and the other way of renting not at all', () => {
    const known = after(times(30, () => outcome({ kind: 'start-failed' })));
    const own = believed(known, { ...spot, providerId: 'prv_a' }, NOW);
    const other = believed(known, { ...spot, providerId: 'prv_b' }, NOW);
    expect(own?.startFailureP).toBeGreaterThan(0.85);
    expect(other?.startFailureP).toBeLessThan(own?.startFailureP ?? 0);
    expect(other?.startFailureP).toBeGreaterThan(table.startFailureP);
    expect(believed(known, { providerKind: 'decentralized', pricing: 'on-demand' }, NOW)).toBeNull();
  });

  it('tells a bad region, SKU and host apart from the good ones of the same provider', () => {
    for (const bad of [{ region: 'bad' }, { sku: 'bad' }, { hostId: 'bad' }]) {
      const known = after(
        times(40, (i) => outcome(i % 2 ? { hostId: 'fine' } : { hostId: 'fine', ...bad, kind: 'start-failed' })),
      );
      const at = { ...outcome({ hostId: 'fine' }), ...bad };
      const [badly, well] = [at, outcome({ hostId: 'fine' })].map(
        (of) => believed(known, of, NOW)?.startFailureP ?? NaN,
      );
      expect(badly).toBeGreaterThan((well ?? NaN) + 0.3);
    }
  });

  it('counts an outcome once, however many scopes it belongs to', () => {
    const p = (failures: number): number =>
      believed(after(times(failures, () => outcome({ kind: 'start-failed' }))), outcome(), NOW)?.startFailureP ?? NaN;
    // Three trials' worth of belief in the surroundings: (0.35 x 3 + 1) / 4, not once more at each of five levels.
    expect(p(1)).toBeCloseTo((table.startFailureP * 3 + 1) / 4, 6);
    expect(p(20)).toBeCloseTo((table.startFailureP * 3 + 20) / 23, 6);
  });

  it('learns losses against their age: the same losses in more hours are fewer', () => {
    const hours = (h: number): OutcomeRow[] => times(10, () => outcome({ kind: 'lost', fromAgeS: 0, ageS: h * 3_600 }));
    const rate = (h: number): number =>
      believed(after(hours(h)), { ...spot, providerId: 'prv_a' }, NOW)?.hazardPerHourByAge[0]?.perHour ?? NaN;
    const first = table.hazardPerHourByAge[0]?.perHour ?? NaN;
    expect(rate(0.05)).toBeGreaterThan(3 * first);
    expect(rate(100)).toBeLessThan(2 * first);
    expect(rate(100)).toBeLessThan(rate(1));
  });

  it('learns boots and names what it saw', () => {
    const r = believed(after(times(30, () => outcome({ bootS: 60 }))), { ...spot, providerId: 'prv_a' }, NOW);
    expect(r?.bootS).toBeLessThan(table.bootS);
    expect(r?.bootBilledS).toBeLessThanOrEqual(r?.bootS ?? 0);
    expect(r?.seen).toMatchObject({ starts: 30, losses: 0 });
    expect(r?.source).toContain('30 starts and 0 losses seen here');
    expect(r?.source).toContain(table.source);
  });

  it('keeps probabilities and falling hazards whatever happened, and forgets', () => {
    const any = fc.array(
      fc.record({
        kind: fc.constantFrom<OutcomeRow['kind'][]>('started', 'start-failed', 'ran', 'lost'),
        at: fc.integer({ min: 0, max: 500 }).map((h) => NOW + h * HOUR),
        ageS: fc.integer({ min: 0, max: 1_000_000 }),
        bootS: fc.integer({ min: 0, max: 100_000 }),
      }),
      { minLength: 1, maxLength: 25 },
    );
    fc.assert(
      fc.property(any, (seen) => {
        const known = after(seen.map((s) => outcome({ ...s, fromAgeS: 0 })));
        const r = believed(known, outcome(), NOW + 500 * HOUR);
        expect(r?.startFailureP).toBeGreaterThan(0);
        expect(r?.startFailureP).toBeLessThan(1);
        const hazard = r?.hazardPerHourByAge.map((b) => b.perHour) ?? [];
        for (let i = 1; i < hazard.length; i++) expect(hazard[i]).toBeLessThan(hazard[i - 1] ?? 0);
        expect(Number.isFinite(r?.bootS)).toBe(true);
      }),
      { numRuns: 50 },
    );
    const known = after(times(50, () => outcome({ kind: 'start-failed' })));
    const p = (days: number): number =>
      believed(known, { ...spot, providerId: 'prv_a' }, NOW + days * 24 * HOUR)?.startFailureP ?? NaN;
    expect(p(60)).toBeLessThan(p(0) - 0.1);
  });

  it('gives names with slashes scopes of their own', () => {
    const [, , slashed] = scopesOf({ ...spot, providerId: 'a', region: 'b/c' });
    const [, , , apart] = scopesOf({ ...spot, providerId: 'a', region: 'b', sku: 'c' });
    expect(slashed).not.toBe(apart);
  });
});

describe.each(specStores)('outcomes on their way into evidence, $name', ({ open }) => {
  let s: SpecStore;
  beforeEach(async () => {
    s = await open();
  });
  afterEach(() => s.close());
  const inTx = <T>(work: Parameters<SpecStore['store']['transaction']>[1]): Promise<T> =>
    s.store.transaction(WORKER, work) as Promise<T>;

  it('folds each outcome once, from whichever tenant, and serves what it taught', async () => {
    const failures = times(20, () => outcome({ kind: 'start-failed', at: s.clock.now() }));
    await inTx(async (tx) => {
      for (const f of failures) await noteOutcome(tx, f);
      // The same outcome told again is the same outcome.
      if (failures[0]) await noteOutcome(tx, failures[0]);
    });
    expect(await inTx(foldOutcomes)).toBe(20);
    expect(await inTx(foldOutcomes)).toBe(0);
    expect(await inTx((tx) => tx.find(leaseOutcomes, {}))).toEqual([]);
    const rows = await inTx<{ scope: string; depth: number }[]>((tx) =>
      tx.find(reliabilityEvidence, {}, { orderBy: [['depth', 'asc']] }),
    );
    expect(rows.map((r) => r.depth)).toEqual([0, 1, 2, 3, 4]);
    const priors = await inTx<Awaited<ReturnType<typeof learntPriors>>>(learntPriors);
    const of = (providerId: string) => reliabilityOf({ ...spot, providerId }, priors);
    expect(of('prv_a').startFailureP).toBeGreaterThan(0.8);
    expect(of('prv_a').seen?.starts).toBe(20);
    expect(of('prv_b').startFailureP).toBeLessThan(of('prv_a').startFailureP);
    const at = (region: string, sku: string): number =>
      reliabilityOf({ ...spot, providerId: 'prv_a', region, sku }, priors).startFailureP;
    // One region and SKU told everything: it is the provider as far as anybody knows, and counts once.
    expect(at('eu/north:1', 'gpu:x')).toBeCloseTo(of('prv_a').startFailureP, 6);
    expect(at('elsewhere', 'gpu:x')).toBe(of('prv_a').startFailureP);
    const known = new Map(
      (await inTx<EvidenceRow[]>((tx) => tx.find(reliabilityEvidence, {}))).map((r) => [r.scope, r.evidence]),
    );
    const exact = reliabilityOf({ ...spot, providerId: 'prv_a', region: 'eu/north:1', sku: 'gpu:x' }, priors);
    expect(exact.startFailureP).toBeCloseTo(believed(known, outcome(), s.clock.now())?.startFailureP ?? NaN, 6);
    expect(reliabilityOf({ ...spot, providerId: 'prv_a', pricing: 'on-demand' }, priors)).toBe(
      defaultPriors.byKind.decentralized.steady,
    );
  });

  it('serves the table as it stands before anything was seen', async () => {
    expect(await inTx(learntPriors)).toBe(defaultPriors);
  });
});
