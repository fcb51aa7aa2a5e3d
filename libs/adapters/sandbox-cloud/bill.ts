import { divRound, usd } from '#kernel';
import type { CloudMachine } from './machine.js';
import type { CloudSettings } from './sku.js';

/** One line of the vendor's bill, written once when a machine has ended. */
export interface BillLine {
  readonly machineId: string;
  readonly sku: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly fromMs: number;
  readonly toMs: number;
  /** After minimum and increment. */
  readonly seconds: number;
  /** Nano-dollars. */
  readonly amount: bigint;
}

/** Time as the vendor counts it: at least the minimum, then whole increments, rounded up. */
export function billedSeconds(durationMs: number, billing: CloudSettings['billing']): number {
  const increments = Math.ceil(durationMs / (billing.incrementS * 1_000));
  return Math.max(billing.minimumS, increments * billing.incrementS);
}

/** The bill of a machine up to `toMs`; null while it costs nothing. */
export function billLine(machine: CloudMachine, toMs: number, billing: CloudSettings['billing']): BillLine | null {
  if (machine.billedFromMs === null) return null;
  const seconds = billedSeconds(toMs - machine.billedFromMs, billing);
  return {
    machineId: machine.id,
    sku: machine.sku.name,
    tags: { ...machine.request.tags },
    fromMs: machine.billedFromMs,
    toMs,
    seconds,
    amount: divRound(usd(machine.sku.priceUsdPerHour) * BigInt(seconds), 3_600n),
  };
}
