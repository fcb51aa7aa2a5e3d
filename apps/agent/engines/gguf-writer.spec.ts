import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { toHalf, writeGguf } from './gguf-writer.js';

/** The value of a half-precision bit pattern, by the definition of IEEE 754. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

describe('half precision', () => {
  it('keeps every number that half precision can say', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = fromHalf(bits);
      if (!Number.isNaN(value)) expect(toHalf(value)).toBe(bits);
    }
  });
  it('is nowhere further off than half a step', () => {
    fc.assert(
      fc.property(fc.double({ min: -65_000, max: 65_000, noNaN: true }), (value) => {
        const step = 2 ** Math.max(-24, Math.floor(Math.log2(Math.abs(value) || 2 ** -24)) - 10);
        expect(Math.abs(fromHalf(toHalf(value)) - value)).toBeLessThanOrEqual(step / 2);
      }),
    );
  });
});

describe('a GGUF file', () => {
  it('begins with its magic, version and counts, and is padded to 32 bytes', () => {
    const file = writeGguf({ 'general.architecture': { type: 'string', value: 'llama' } }, [
      { name: 'a', shape: [3], format: 'f32', values: Float32Array.of(1, 2, 3) },
    ]);
    expect(file.toString('latin1', 0, 4)).toBe('GGUF');
    expect([file.readUInt32LE(4), file.readBigUInt64LE(8), file.readBigUInt64LE(16)]).toEqual([3, 1n, 1n]);
    expect(file.length % 32).toBe(0);
    expect(file.readFloatLE(file.length - 32 + 4)).toBe(2);
  });
  it('refuses a tensor whose values do not fill its shape', () => {
    expect(() => writeGguf({}, [{ name: 'a', shape: [2, 2], format: 'f16', values: new Float32Array(3) }])).toThrow(
      RangeError,
    );
  });
});
