import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { editDistance } from './index.js';

const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 });

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['', 'abc', 3],
    ['port', 'post', 1],
    ['port', 'ports', 1],
    ['prot', 'port', 1],
    ['kitten', 'sitting', 3],
    // A swap and then a letter between: two letters of a swap are not moved again.
    ['ca', 'abc', 3],
  ])('from "%s" to "%s" is %d', (a, b, distance) => expect(editDistance(a, b)).toBe(distance));

  it('counts a wrong letter as it is told to', () => {
    const alike = (x: string, y: string): number => (x + y === 'o0' || x + y === '0o' ? 0.5 : 1);
    expect(editDistance('h10o', 'h100', alike)).toBe(0.5);
    expect(editDistance('h10x', 'h100', alike)).toBe(1);
  });

  it('is none only between equals, the same both ways, and at most a replacement of all', () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        const d = editDistance(a, b);
        expect(d === 0).toBe(a === b);
        expect(editDistance(b, a)).toBe(d);
        expect(d).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
        expect(d).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });

  it('is one for any single edit', () => {
    fc.assert(
      fc.property(word, fc.nat(8), (a, at) => {
        const i = Math.min(at, a.length);
        expect(editDistance(a, `${a.slice(0, i)}x${a.slice(i)}`)).toBe(1);
        const [x, y] = [a[i], a[i + 1]];
        if (x === undefined || y === undefined || x === y) return;
        expect(editDistance(a, a.slice(0, i) + y + x + a.slice(i + 2))).toBe(1);
      }),
    );
  });
});
