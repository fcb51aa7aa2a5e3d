import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ID_PREFIXES, isId, newId, type IdKind } from './ids.js';
import { SeededRandom } from './random.js';

const kinds = Object.keys(ID_PREFIXES) as IdKind[];

describe('ids', () => {
  it('sort as their times do', () => {
    const time = fc.nat(2 ** 46);
    fc.assert(
      fc.property(time, time, fc.nat(), (a, b, seed) => {
        const random = new SeededRandom(seed);
        const [x, y] = [newId('job', a, random), newId('job', b, random)];
        if (a !== b) expect(x < y).toBe(a < b);
      }),
    );
  });

  it('are recognised as their own kind and as no other', () => {
    for (const kind of kinds) {
      const id = newId(kind);
      expect(kinds.filter((k) => isId(k, id))).toEqual([kind]);
    }
  });

  it('do not repeat within one millisecond', () => {
    expect(new Set(Array.from({ length: 5_000 }, () => newId('lease', 1_763_700_000_000))).size).toBe(5_000);
  });

  it('follow from time and seed', () => {
    const make = (): string => newId('shard', 1_763_700_000_000, new SeededRandom(7));
    expect(make()).toBe(make());
  });

  it.each([
    ['not text', 5],
    ['too short', 'job_01kag'],
    ['a letter that is not in the alphabet', `job_${'i'.repeat(26)}`],
    ['upper case', `job_${'A'.repeat(26)}`],
    ['something after it', `job_${'0'.repeat(26)}\n`],
    ['a path', `../job_${'0'.repeat(26)}`],
    ['null', null],
  ])('refuse %s', (_why, text) => {
    expect(isId('job', text)).toBe(false);
  });
});
