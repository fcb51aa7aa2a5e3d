import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { blocksFree, gpusTogether, largestDomain, type Domains } from './domains.js';

const two: Domains = [
  [0, 1, 2, 3],
  [4, 5, 6, 7],
];
const all = new Set([0, 1, 2, 3, 4, 5, 6, 7]);
const but = (...gone: number[]): Set<number> => new Set([...all].filter((gpu) => !gone.includes(gpu)));

describe('GPUs of one lease', () => {
  it('come from the fullest domain that has enough', () => {
    expect(gpusTogether(two, but(4), 1)).toEqual([5]);
    expect(gpusTogether(two, but(4, 5), 2)).toEqual([6, 7]);
    expect(gpusTogether(two, but(4, 5, 6), 2)).toEqual([0, 1]);
    expect(gpusTogether(two, all, 4)).toEqual([0, 1, 2, 3]);
  });

  it('never lie in two domains where one could hold them', () => {
    expect(gpusTogether(two, but(0, 4), 4)).toBeNull();
    expect(blocksFree(two, but(0, 4), 4)).toBe(0);
    expect(blocksFree(two, but(0, 4), 2)).toBe(2);
  });

  it('span as few domains as possible where none could', () => {
    expect(gpusTogether(two, all, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(gpusTogether([[0, 1], [2], [3, 4], [5]], but(6, 7), 3)).toEqual([0, 1, 2]);
    expect(gpusTogether(two, but(3), 8)).toBeNull();
  });

  it('are free, each once, as many as wanted; and there are none only when no block is left', () => {
    const machine = fc.record({
      sizes: fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 4 }),
      free: fc.uniqueArray(fc.nat(31), { maxLength: 32 }),
      wanted: fc.integer({ min: 1, max: 12 }),
    });
    fc.assert(
      fc.property(machine, ({ sizes, free, wanted }) => {
        let next = 0;
        const domains = sizes.map((size) => Array.from({ length: size }, () => next++));
        const open = new Set(free.filter((gpu) => gpu < next));
        let blocks = blocksFree(domains, open, wanted);
        for (let own = gpusTogether(domains, open, wanted); own; own = gpusTogether(domains, open, wanted)) {
          expect(own.filter((gpu) => open.has(gpu))).toHaveLength(wanted);
          expect(new Set(own).size).toBe(wanted);
          if (wanted <= largestDomain(domains))
            expect(domains.filter((d) => own.some((gpu) => d.includes(gpu)))).toHaveLength(1);
          for (const gpu of own) open.delete(gpu);
          blocks--;
        }
        expect(blocks).toBe(0);
      }),
    );
  });
});
