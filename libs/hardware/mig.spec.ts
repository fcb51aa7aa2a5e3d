import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { migGeometry, migLayout, migProfile, type MigGeometry } from './mig.js';

const of = (name: string): MigGeometry => {
  const found = migGeometry(name);
  if (!found) throw new Error(`${name} cannot be cut`);
  return found;
};
const fits = (name: string, ...profiles: string[]): boolean =>
  migLayout(
    of(name),
    profiles.map((profile) => ({ profile })),
  ) !== null;

describe('the profiles of a GPU', () => {
  it('are those that its driver prints', () => {
    expect(of('H100-SXM').profiles.map((p) => p.name)).toEqual([
      '1g.10gb',
      '1g.20gb',
      '2g.20gb',
      '3g.40gb',
      '4g.40gb',
      '7g.80gb',
    ]);
    expect(of('H200').profiles.map((p) => p.name)).toContain('3g.71gb');
    expect(of('A100-40GB-SXM').profiles.map((p) => p.name)).toContain('1g.5gb');
    expect(of('A30').profiles.map((p) => p.name)).toEqual(['1g.6gb', '2g.12gb', '4g.24gb']);
    expect([migGeometry('L4'), migGeometry('MI300X'), migGeometry('CPU')]).toEqual([null, null, null]);
  });

  it('are found with media extensions too, and a compute instance inside one is none', () => {
    expect(migProfile(of('H100-SXM'), '1g.10gb+me')?.memorySlices).toBe(1);
    expect(migProfile(of('H100-SXM'), '1c.3g.40gb')).toBeNull();
    expect(migProfile(of('H100-SXM'), '1g.5gb')).toBeNull();
  });
});

describe('what can lie on one GPU together', () => {
  it('is what the guide says', () => {
    expect(fits('H100-SXM', '1g.10gb', '1g.10gb', '1g.10gb', '1g.10gb', '1g.10gb', '1g.10gb', '1g.10gb')).toBe(true);
    expect(fits('H100-SXM', ...Array.from({ length: 8 }, () => '1g.10gb'))).toBe(false);
    expect(fits('H100-SXM', '3g.40gb', '3g.40gb')).toBe(true);
    expect(fits('H100-SXM', '4g.40gb', '3g.40gb')).toBe(true);
    expect(fits('H100-SXM', '4g.40gb', '4g.40gb')).toBe(false);
    expect(fits('H100-SXM', '3g.40gb', '3g.40gb', '1g.10gb')).toBe(false);
    expect(fits('H100-SXM', '4g.40gb', '2g.20gb', '1g.10gb')).toBe(true);
    expect(fits('H100-SXM', '2g.20gb', '2g.20gb', '2g.20gb', '1g.10gb')).toBe(true);
    expect(fits('H100-SXM', '2g.20gb', '2g.20gb', '2g.20gb', '2g.20gb')).toBe(false);
    expect(fits('H100-SXM', '1g.20gb', '1g.20gb', '1g.20gb', '1g.20gb')).toBe(true);
    expect(fits('H100-SXM', '7g.80gb', '1g.10gb')).toBe(false);
    expect(fits('A30', '2g.12gb', '1g.6gb', '1g.6gb')).toBe(true);
    expect(fits('A30', '1g.10gb')).toBe(false);
  });

  it('keeps the places that are given', () => {
    const one = { profile: '1g.10gb' };
    const three = { profile: '3g.40gb' };
    expect(migLayout(of('H100-SXM'), [{ ...one, start: 0 }, three])?.[1]).toEqual({ start: 4, size: 4 });
    expect(migLayout(of('H100-SXM'), [{ ...one, start: 1 }, { ...one, start: 5 }, three])).toBeNull();
    expect(migLayout(of('H100-SXM'), [{ ...one, start: 7 }])).toBeNull();
  });

  it.each([
    ['more of them than it has', Array.from({ length: 8 }, () => ({ profile: '1g.10gb' }))],
    [
      'a place in the way',
      [
        { profile: '1g.10gb', start: 6 },
        { profile: '1g.20gb' },
        ...Array.from({ length: 5 }, () => ({ profile: '1g.10gb' })),
      ],
    ],
  ])('is told in few steps when there is no room: %s', (_, instances) => {
    let looks = 0;
    const geometry = of('H100-SXM');
    const profiles = geometry.profiles.map((p) => ({
      ...p,
      get starts() {
        looks += 1;
        return p.starts;
      },
    }));
    expect(migLayout({ ...geometry, profiles }, instances)).toBeNull();
    expect(looks).toBeLessThan(100);
  });

  it('is found exactly where a search through all places finds it', () => {
    const names = ['A100-40GB-SXM', 'H100-SXM', 'H200', 'A30'];
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.array(fc.nat(5), { maxLength: 7 }), (name, picks) => {
        const geometry = of(name);
        const profiles = picks.flatMap((n) => geometry.profiles[n % geometry.profiles.length] ?? []);
        const layout = migLayout(
          geometry,
          profiles.map((p) => ({ profile: p.name })),
        );
        expect(layout !== null).toBe(somewhere(geometry, profiles, []));
        layout?.forEach(({ start, size }, i) => {
          expect(profiles[i]?.starts).toContain(start);
          expect(profiles[i]?.memorySlices).toBe(size);
        });
        const slices = (layout ?? []).flatMap(({ start, size }) => Array.from({ length: size }, (_, k) => start + k));
        expect(new Set(slices).size).toBe(slices.length);
      }),
    );
  });
});

function somewhere(geometry: MigGeometry, left: MigGeometry['profiles'], taken: readonly number[]): boolean {
  const [next, ...others] = left;
  if (!next) return true;
  const compute = left.reduce((sum, p) => sum + p.computeSlices, 0);
  if (taken.length === 0 && compute > geometry.computeSlices) return false;
  return next.starts.some((start) => {
    const own = Array.from({ length: next.memorySlices }, (_, k) => start + k);
    return !own.some((slice) => taken.includes(slice)) && somewhere(geometry, others, [...taken, ...own]);
  });
}

describe('names that every object has', () => {
  it('are no accelerators that can be cut', () => {
    expect(migGeometry('constructor')).toBeNull();
  });
});
