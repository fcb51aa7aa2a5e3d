import type { Random } from '#kernel';

/** What may go wrong on the way to Stripe and back. */
export const faultKinds = [
  /** The connection breaks before anything happened. */
  'lost-before',
  /** Everything happened, and the answer never arrives. */
  'lost-after',
  /** The connection breaks at once, and the work is done only when the test says so. */
  'late',
  /** 500 and nothing happened; the key answers so for a day. */
  'error-before',
  /** 500 although everything happened; the key answers so for a day. */
  'error-after',
  /** 429: nothing happened and the key is free. */
  'rate-limit',
] as const;
export type FaultKind = (typeof faultKinds)[number];

interface Planned {
  readonly fault: FaultKind;
  readonly where: RegExp;
  left: number;
}

/** Which request meets which fault. Lines are `POST /v1/refunds`. */
export class Faults {
  private planned: Planned[] = [];
  private chance: { random: Random; probability: number; kinds: readonly FaultKind[] } | null = null;
  /** Work of requests with the fault `late`, not yet done. */
  readonly late: (() => void)[] = [];

  /** The next `times` requests whose line fits meet this fault. */
  plan(fault: FaultKind, where: RegExp = /^POST/, times = 1): void {
    this.planned.push({ fault, where, left: times });
  }

  /** From now on each request that changes something meets some fault with this probability; null: no more. */
  atRandom(chance: { random: Random; probability: number; kinds: readonly FaultKind[] } | null): void {
    this.chance = chance;
  }

  clear(): void {
    this.planned = [];
    this.chance = null;
  }

  /** Lets what was late happen now. */
  release(): void {
    for (const work of this.late.splice(0)) work();
  }

  of(line: string): FaultKind | null {
    const found = this.planned.find((p) => p.left > 0 && p.where.test(line));
    if (found) {
      found.left--;
      return found.fault;
    }
    const { chance } = this;
    if (!chance || !line.startsWith('POST') || chance.random.float() >= chance.probability) return null;
    return chance.kinds[Math.floor(chance.random.float() * chance.kinds.length)] ?? null;
  }
}
