import { describe, expect, it } from '@jest/globals';
import { ManualClock } from './clock.js';
import { SeededRandom, systemRandom } from './random.js';

describe('seeded randomness', () => {
  it('repeats with its seed and differs with another', () => {
    const draw = (seed: number | string): number[] => {
      const random = new SeededRandom(seed);
      return Array.from({ length: 8 }, () => random.float());
    };
    expect(draw('a')).toEqual(draw('a'));
    expect(draw('a')).not.toEqual(draw('b'));
  });

  it('draws whole numbers from both ends inclusive, about evenly', () => {
    const random = new SeededRandom(1);
    const seen = new Map<number, number>();
    for (let i = 0; i < 6_000; i++) {
      const n = random.int(1, 6);
      seen.set(n, (seen.get(n) ?? 0) + 1);
    }
    expect([...seen.keys()].sort()).toEqual([1, 2, 3, 4, 5, 6]);
    for (const n of seen.values()) expect(Math.abs(n - 1_000)).toBeLessThan(150);
  });

  it('picks from a list, and refuses an empty one', () => {
    const random = new SeededRandom(2);
    expect(['x', 'y']).toContain(random.pick(['x', 'y']));
    expect(() => random.pick([])).toThrow(RangeError);
  });
});

describe('the system’s randomness', () => {
  it('stays within [0, 1)', () => {
    for (let i = 0; i < 1_000; i++) {
      const x = systemRandom.float();
      expect(x >= 0 && x < 1).toBe(true);
    }
  });
});

describe('a clock that is told', () => {
  it('moves forward only', () => {
    const clock = new ManualClock(5);
    clock.advance(3);
    expect(clock.now()).toBe(8);
    expect(() => clock.advance(-1)).toThrow(RangeError);
  });
});
