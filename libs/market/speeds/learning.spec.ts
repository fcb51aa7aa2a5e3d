import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { HOUR } from '#kernel';
import { usefulSeconds } from '#hardware';
import { WORKER } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import {
  busySeconds,
  foldShardTimes,
  learnFromShards,
  learntSpeeds,
  measuredSpeed,
  noSpeedEvidence,
  noteShardTimes,
  observeSpeed,
  shardTimes,
  servingSpeeds,
  type ShardEnd,
} from './index.js';

const DAY = 24 * HOUR;
const llama = { accelerator: 'H100-SXM', units: 1, parametersB: 8, bytesPerParameter: 2 } as const;
const MODEL = 'meta-llama/Llama-3.1-8B';

describe('the time of a machine', () => {
  it('counts a second once, however many shards it held', () => {
    // Three assigned together end one by one; a fourth comes after a pause.
    const shards = [
      { assignedAt: 0, at: 10_000 },
      { assignedAt: 0, at: 20_000 },
      { assignedAt: 0, at: 30_000 },
      { assignedAt: 100_000, at: 105_000 },
    ];
    expect(busySeconds(shards, null)).toBe(35);
    expect(busySeconds(shards.slice(1), 10_000)).toBe(25);
  });

  it('is the same however the ends are split over folds, and never more than has passed', () => {
    const end = fc.record({ assigned: fc.integer({ min: 0, max: 1_000 }), took: fc.integer({ min: 0, max: 500 }) });
    fc.assert(
      fc.property(fc.array(end, { minLength: 1, maxLength: 20 }), fc.nat(19), (given, cut) => {
        const shards = given
          .map(({ assigned, took }) => ({ assignedAt: assigned * 1_000, at: (assigned + took) * 1_000 }))
          .sort((a, b) => a.at - b.at);
        const whole = busySeconds(shards, null);
        const first = shards.slice(0, cut);
        const through = first.at(-1)?.at ?? null;
        expect(busySeconds(first, null) + busySeconds(shards.slice(cut), through)).toBeCloseTo(whole, 6);
        expect(whole).toBeLessThanOrEqual(1_500);
      }),
    );
  });
});

describe('evidence of a speed', () => {
  it('is the geometric mean with its spread, and forgets by half in a month', () => {
    let e = noSpeedEvidence(0);
    for (const tokensPerS of [1_000, 2_000, 4_000]) e = observeSpeed(e, tokensPerS, 0, `org_${tokensPerS}`);
    const now = measuredSpeed(e, 0);
    expect(now?.tokensPerS).toBeCloseTo(2_000, 6);
    expect(now?.samples).toBe(3);
    expect(now?.logSd).toBeCloseTo(Math.log(2), 6);
    expect(measuredSpeed(e, 30 * DAY)).toMatchObject({ samples: 1.5, logSd: null });
    expect(measuredSpeed(e, 120 * DAY)).toBeUndefined();
    expect(measuredSpeed(observeSpeed(e, 16_000, 90 * DAY, 'org_a'), 90 * DAY)?.tokensPerS).toBeGreaterThan(8_000);
  });
});

describe.each(specStores)('speeds seen on leases, $name', ({ open }) => {
  let s: SpecStore;
  let n = 0;
  beforeEach(async () => {
    s = await open();
  });
  afterEach(() => s.close());
  const note = (...rows: Partial<ShardEnd>[]): Promise<void> =>
    s.store.transaction(WORKER, (tx) =>
      noteShardTimes(
        tx,
        rows.map((row) => {
          const at = s.clock.now();
          return {
            id: `shd_${n++}/1`,
            leaseId: 'lease_1',
            organizationId: 'org_a',
            model: MODEL,
            accelerator: 'H100-SXM',
            units: 1,
            tokens: 90_000,
            assignedAt: at - 30_000,
            at,
            ...row,
          };
        }),
      ),
    );
  const fold = (): Promise<number> => s.store.transaction(WORKER, foldShardTimes);
  const speedOf = async (of: Parameters<Awaited<ReturnType<typeof learntSpeeds>>>[0]) =>
    (await s.store.transaction(WORKER, learntSpeeds))(of);

  it('are learnt from each shard once, and go before every table', async () => {
    await note({ id: 'shd_x/1' }, { id: 'shd_x/1' }, { leaseId: 'lease_2', organizationId: 'org_b' });
    expect(await fold()).toBe(2);
    expect(await fold()).toBe(0);
    const speed = await speedOf(llama);
    expect(speed?.tokensPerS).toBeCloseTo(3_000, 6);
    // The same model under a slightly different size; neither another width, nor more cards, nor another card.
    expect((await speedOf({ ...llama, parametersB: 8.03 }))?.tokensPerS).toBeCloseTo(3_000, 6);
    expect(await speedOf({ ...llama, bytesPerParameter: 1 })).toBeUndefined();
    expect(await speedOf({ ...llama, units: 2 })).toBeUndefined();
    expect(await speedOf({ ...llama, accelerator: 'H100-PCIe' })).toBeUndefined();
    const work = { kind: 'tokens', inputTokens: 3e6, outputTokens: 3e6, parametersB: 8, bytesPerParameter: 2 } as const;
    const measured = await s.store.transaction(WORKER, learntSpeeds);
    // Two runs beside a prediction that counts like four.
    const predictedS = usefulSeconds(work, 'h100 sxm', 1) ?? 0;
    expect(usefulSeconds(work, 'h100 sxm', 1, null, measured)).toBeCloseTo(2_000 ** (1 / 3) * predictedS ** (2 / 3), 2);
    expect(usefulSeconds(work, 'H200', 1, null, measured)).toBe(usefulSeconds(work, 'H200', 1));
  });

  it('count a machine’s time from one fold to the next', async () => {
    const start = s.clock.now() - 60_000;
    const ends = [1, 2, 3, 4].map((i) => ({ assignedAt: start, at: start + i * 15_000, tokens: 30_000 }));
    await note(...ends.slice(0, 2), { leaseId: 'lease_2', organizationId: 'org_b', tokens: 60_000 });
    expect(await fold()).toBe(3);
    await note(...ends.slice(2));
    expect(await fold()).toBe(2);
    // 60,000 tokens in 30 s, twice; from the assignment on the second time would say 60,000 in 60 s.
    expect((await speedOf(llama))?.tokensPerS).toBeCloseTo(2_000, 6);
    expect((await speedOf(llama))?.samples).toBeCloseTo(3, 3);
    const kept = await s.store.transaction(WORKER, (tx) => tx.find(shardTimes, {}));
    expect(kept.filter((r) => r.leaseId === 'lease_1').map((r) => r.at)).toEqual([start + 60_000]);
  });

  it('teach nothing where a machine changed the model, was too short, or claims what cannot be', async () => {
    await note({ leaseId: 'lease_2' }, { leaseId: 'lease_2', model: 'meta-llama/Llama-3.1-70B' });
    await note({ leaseId: 'lease_3', assignedAt: s.clock.now() - 2_000 });
    await note({ leaseId: 'lease_4', tokens: 900_000_000 });
    await note({ leaseId: 'lease_5', tokens: 0 });
    await note(
      { leaseId: 'lease_6', tokens: 900 },
      { leaseId: 'lease_7' },
      { leaseId: 'lease_7', organizationId: 'org_b' },
    );
    expect(await learnFromShards(s.store)).toBe(8);
    expect(await s.store.transaction(WORKER, (tx) => tx.find(servingSpeeds, {}))).toEqual([]);
  });

  it('teach nothing of a model whose size only its tenant tells', async () => {
    await note({ model: 'acme/own-model' }, { model: 'acme/own-model', organizationId: 'org_b', leaseId: 'lease_2' });
    expect(await learnFromShards(s.store)).toBe(0);
  });

  it('of one organization are used for nobody, however many there are', async () => {
    await note(...[1, 2, 3, 4].map((i) => ({ leaseId: `lease_${i}` })));
    await fold();
    expect(await speedOf(llama)).toBeUndefined();
    await note({ leaseId: 'lease_9', organizationId: 'org_b' });
    await fold();
    expect((await speedOf(llama))?.samples).toBeCloseTo(5, 3);
  });

  it('are forgotten when nobody has seen them for two months', async () => {
    await note({});
    await learnFromShards(s.store);
    const updatedAt = s.clock.now() - 61 * DAY;
    await s.store.transaction(WORKER, (tx) => tx.update(servingSpeeds, { updatedAt: { gte: 0 } }, { updatedAt }));
    await learnFromShards(s.store);
    expect(await s.store.transaction(WORKER, (tx) => tx.find(servingSpeeds, {}))).toEqual([]);
  });
});
