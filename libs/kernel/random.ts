import { randomBytes } from 'node:crypto';

/** Randomness as a port: the simulator gives a seeded one, production the operating system's. */
export interface Random {
  /** n cryptographically strong bytes (seeded: repeatable bytes). */
  bytes(n: number): Uint8Array;
  /** Uniform in [0, 1). */
  float(): number;
}

export const systemRandom: Random = {
  bytes: (n) => randomBytes(n),
  float: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
};

/** Small fast seeded generator (mulberry32; public domain algorithm by T. Ettinger) for tests and simulation; not for secrets. */
export class SeededRandom implements Random {
  private s: number;
  constructor(seed: number | string) {
    this.s = typeof seed === 'number' ? seed >>> 0 : hash32(seed);
  }
  float(): number {
    this.s = (this.s + 0x6d2b79f5) >>> 0;
    let t = this.s;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  bytes(n: number): Uint8Array {
    const out = new Uint8Array(n);
    for (let i = 0; i < n; i++) out[i] = Math.floor(this.float() * 256);
    return out;
  }
  /** Uniform integer in [low, high]. */
  int(low: number, high: number): number {
    return low + Math.floor(this.float() * (high - low + 1));
  }
  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.float() * items.length)];
    if (item === undefined) throw new RangeError('pick from an empty list');
    return item;
  }
}

/** FNV-1a, 32 bit: spreads a string into a seed. */
export function hash32(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    h ^= text.charCodeAt(i);
    h = Math.imul(h, 0x01000193);
  }
  return h >>> 0;
}
