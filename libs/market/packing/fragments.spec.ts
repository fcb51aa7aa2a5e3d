import { describe, expect, it } from '@jest/globals';
import type { Kind } from './ask.js';
import { Fleet } from './fleet.js';
import { Fragments } from './fragments.js';
import { boundDemand, pressureNow } from './pressure.js';
import { mixed, typicalKinds } from './typical.js';

let ids = 0;
const kind = (of: Partial<Kind>): Kind => ({
  id: ids++,
  cpuMilli: 1_000,
  memoryMiB: 1_024,
  gpus: 1,
  gpuMilli: 1_000,
  mask: 0b110,
  ...of,
});
const left = (...thousandths: number[]): Int16Array => Int16Array.from(thousandths);

describe('fragments', () => {
  it('are all that is idle where a kind cannot run, else what is left on GPUs too full for it', () => {
    const half = kind({ gpuMilli: 500 });
    const one = new Fragments(new Map([[half, 1]]), 3, false);
    expect(one.of(1, 8_000, 8_192, left(1_000, 300), 0, 2)).toBeCloseTo(0.3, 12);
    expect(one.of(1, 500, 8_192, left(1_000, 300), 0, 2)).toBeCloseTo(1.3, 12);
    expect(one.of(1, 8_000, 8_192, left(400, 300), 0, 2)).toBeCloseTo(0.7, 12);
    expect(one.of(1, 8_000, 8_192, left(0, 0), 0, 2)).toBe(0);
  });

  it('of several whole GPUs need that many at once', () => {
    const four = new Fragments(new Map([[kind({ gpus: 4 }), 1]]), 3, false);
    expect(four.of(1, 8_000, 8_192, left(1_000, 1_000, 1_000, 0), 0, 4)).toBe(3);
    expect(four.of(1, 8_000, 8_192, left(1_000, 1_000, 1_000, 1_000), 0, 4)).toBe(0);
  });

  it('are a weighted mean, over all kinds or over those that may use the model', () => {
    const weights = new Map([
      [kind({ gpus: 2, mask: 0b010 }), 0.25],
      [kind({ mask: 0b100 }), 0.75],
    ]);
    expect(new Fragments(weights, 3, false).of(1, 8_000, 8_192, left(1_000, 0), 0, 2)).toBeCloseTo(1, 12);
    expect(new Fragments(weights, 3, false).of(1, 8_000, 8_192, left(1_000, 1_000), 0, 2)).toBeCloseTo(1.5, 12);
    expect(new Fragments(weights, 3, true).of(1, 8_000, 8_192, left(1_000, 1_000), 0, 2)).toBe(0);
    expect(new Fragments(weights, 3, true).of(1, 8_000, 8_192, left(1_000, 0), 0, 2)).toBe(1);
  });
});

describe('what is typical', () => {
  const small = kind({});
  const large = kind({ gpus: 8 });
  const none = kind({ gpus: 0, gpuMilli: 0, mask: 0 });
  const demand = new Map([
    [small, 80],
    [large, 2],
    [none, 18],
  ]);

  it('counts requests, or the GPUs that they ask for; what wants none has no fragments', () => {
    expect([...typicalKinds(demand, 0)]).toEqual([[small, 1]]);
    const byGpus = typicalKinds(demand, 1);
    expect(byGpus.get(large)).toBeCloseTo(16 / 96, 12);
    expect(byGpus.has(none)).toBe(false);
  });

  it('is mixed by share', () => {
    const [a, b] = [typicalKinds(demand, 0), typicalKinds(demand, 1)];
    expect(mixed(a, b, 0)).toBe(a);
    expect(mixed(a, b, 1)).toEqual(b);
    expect([...mixed(a, b, 0.5).values()].reduce((sum, w) => sum + w, 0)).toBeCloseTo(1, 12);
  });
});

describe('pressure', () => {
  it('is bound demand over the share of what is free, and falls as others fill up', () => {
    const box = (model: string) => ({ model, gpus: 4, cpuMilli: 64_000, memoryMiB: 65_536 });
    const fleet = new Fleet([box('A'), box('A'), box('A'), box('B')]);
    const ask = { cpuMilli: 0, memoryMiB: 0, gpus: 4, gpuMilli: 1_000 };
    const [anywhere, onlyB] = [fleet.kindOf({ ...ask, models: null }), fleet.kindOf({ ...ask, models: ['B'] })];
    const bound = boundDemand(
      new Map([
        [anywhere, 3],
        [onlyB, 1],
      ]),
      fleet,
    );
    expect([...bound]).toEqual([0, 0, 0.25]);
    const into = new Float64Array(3);
    expect(pressureNow(bound, fleet, into)[2]).toBe(1);
    fleet.take(0, anywhere, -1);
    fleet.take(1, anywhere, -1);
    expect(pressureNow(bound, fleet, into)[2]).toBe(0.5);
  });
});
