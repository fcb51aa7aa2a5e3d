import { splitByLargestRemainder } from '#kernel';
import type { VendorLine } from './read/index.js';

/** A machine at the vendor that a lease had, from the call that asked for it on. */
export interface LeasedMachine {
  readonly leaseId: string;
  readonly machineId: string;
  readonly fromMs: number;
  /** Null: it still runs. */
  readonly toMs: number | null;
}

/** What was metered as owed to the vendor for a lease. */
export interface MeteredCost {
  readonly leaseId: string;
  readonly amountNano: bigint;
  readonly ms: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** How far bill and metering may be apart without being a difference: the larger of both bounds. */
export interface Tolerance {
  readonly amountNano: bigint;
  readonly ms: number;
  /** Hundredths of a percent of what was metered, of amounts and of time. */
  readonly bps: number;
}

export const comparisonKinds = ['agreed', 'amount', 'duration', 'only-ours', 'only-at-vendor'] as const;
export type ComparisonKind = (typeof comparisonKinds)[number];

/** What the vendor bills and what was metered, for a lease, or for a machine (or service) that no lease had. */
export interface Comparison {
  readonly kind: ComparisonKind;
  readonly leaseId: string | null;
  readonly machineId: string | null;
  readonly what: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly vendorNano: bigint;
  readonly oursNano: bigint;
  /** Machine time; null where the vendor does not say. */
  readonly vendorMs: number | null;
  readonly oursMs: number;
  /** Lines of the invoice that it is made of, and the first of them. */
  readonly lines: number;
  readonly firstLine: number | null;
}

export interface Matched {
  readonly comparisons: readonly Comparison[];
  /** `totalNano = matchedNano + onlyAtVendorNano`, to the nano-dollar. */
  readonly totalNano: bigint;
  readonly matchedNano: bigint;
  readonly onlyAtVendorNano: bigint;
  readonly meteredNano: bigint;
}

/** A vendor's clock and ours may be apart, and its machine ends a little after we let it go. */
const SLACK_MS = 10 * 60_000;

interface Share {
  readonly line: VendorLine;
  readonly machineId: string | null;
  readonly amountNano: bigint;
}

/** Compares each lease's lines, found by machine and time, with what was metered; what no lease had is by itself. */
export function match(
  lines: readonly VendorLine[],
  machines: readonly LeasedMachine[],
  metered: readonly MeteredCost[],
  tolerance: Tolerance,
): Matched {
  const byMachine = groupBy(machines, (m) => m.machineId);
  const ofLease = new Map<string, Share[]>();
  const orphans = new Map<string, Share[]>();
  for (const line of lines) {
    const shares = sharesOf(line, byMachine);
    for (const share of shares) push(ofLease, share.leaseId, share);
    if (shares.length > 0) continue;
    const machineId = line.machineIds.at(-1) ?? null;
    push(orphans, machineId ?? `(${line.what})`, { line, machineId, amountNano: line.amountNano });
  }
  const meteredOf = new Map(metered.map((m) => [m.leaseId, m]));
  const machineOf = new Map(machines.map((m) => [m.leaseId, m.machineId]));
  const comparisons = [
    ...[...ofLease].map(([leaseId, shares]) => leaseComparison(leaseId, shares, meteredOf.get(leaseId), tolerance)),
    ...metered
      .filter((m) => !ofLease.has(m.leaseId) && (m.amountNano !== 0n || m.ms > 0))
      .map((m) => onlyOurs(m, machineOf.get(m.leaseId) ?? null)),
    ...[...orphans.values()].map(orphanComparison),
  ].sort((a, b) => a.fromMs - b.fromMs || (sortName(a) < sortName(b) ? -1 : 1));
  const matchedNano = sum(comparisons, (c) => (c.leaseId === null ? 0n : c.vendorNano));
  return {
    comparisons,
    totalNano: sum(lines, (l) => l.amountNano),
    matchedNano,
    onlyAtVendorNano: sum(comparisons, (c) => (c.leaseId === null ? c.vendorNano : 0n)),
    meteredNano: sum(comparisons, (c) => c.oursNano),
  };
}

/** A line belongs to the leases that had its machine in its time; where it spans several, it is shared out by their time in it. */
function sharesOf(
  line: VendorLine,
  byMachine: ReadonlyMap<string, readonly LeasedMachine[]>,
): (Share & { leaseId: string; machineId: string })[] {
  for (const machineId of line.machineIds) {
    const had = byMachine.get(machineId) ?? [];
    const exact = had.map((m) => overlap(line, m, 0));
    // Only a line that meets no lease otherwise is given to one that was near.
    const weights = exact.some((ms) => ms > 0) ? exact : had.map((m) => overlap(line, m, SLACK_MS));
    if (!weights.some((ms) => ms > 0)) continue;
    const wholeWeights = weights.map((ms) => BigInt(Math.round(ms)));
    const parts = splitByLargestRemainder(line.amountNano, wholeWeights);
    const times = line.statedMs === null ? null : splitByLargestRemainder(BigInt(line.statedMs), wholeWeights);
    const several = weights.filter((ms) => ms > 0).length > 1;
    return had.flatMap((m, i) => {
      if ((weights[i] ?? 0) <= 0) return [];
      const cut = { fromMs: Math.max(line.fromMs, m.fromMs), toMs: Math.min(line.toMs, m.toMs ?? Infinity) };
      const own = several ? { ...line, ...cut, statedMs: times && Number(times[i] ?? 0n) } : line;
      return [{ leaseId: m.leaseId, machineId, line: own, amountNano: parts[i] ?? 0n }];
    });
  }
  return [];
}

/** A line without length counts as a millisecond. */
function overlap(line: VendorLine, machine: LeasedMachine, slackMs: number): number {
  const to = Math.min(Math.max(line.toMs, line.fromMs + 1), (machine.toMs ?? Infinity) + slackMs);
  return Math.max(0, to - Math.max(line.fromMs, machine.fromMs - slackMs));
}

function leaseComparison(
  leaseId: string,
  shares: readonly Share[],
  metered: MeteredCost | undefined,
  tolerance: Tolerance,
): Comparison {
  const bill = billed(shares);
  const [oursNano, oursMs] = [metered?.amountNano ?? 0n, metered?.ms ?? 0];
  const time = timeOf(shares.map((s) => s.line));
  const [mostNano, mostMs] = [tolerance.amountNano, tolerance.ms];
  const ofOurs = (abs(oursNano) * BigInt(tolerance.bps)) / 10_000n;
  const amountDiffers = abs(bill.vendorNano - oursNano) > (ofOurs > mostNano ? ofOurs : mostNano);
  const slackMs = Math.max(mostMs, (oursMs * tolerance.bps) / 10_000);
  const timeDiffers = oursMs < time.leastMs - slackMs || oursMs > time.mostMs + slackMs;
  return {
    kind: timeDiffers ? 'duration' : amountDiffers ? 'amount' : 'agreed',
    leaseId,
    ...bill,
    vendorMs: time.statedMs,
    oursNano,
    oursMs,
  };
}

function onlyOurs(m: MeteredCost, machineId: string | null): Comparison {
  const { leaseId, fromMs, toMs, amountNano: oursNano, ms: oursMs } = m;
  const none = { vendorNano: 0n, vendorMs: 0, lines: 0, firstLine: null, what: '' };
  return { kind: 'only-ours', leaseId, machineId, fromMs, toMs, oursNano, oursMs, ...none };
}

function orphanComparison(shares: readonly Share[]): Comparison {
  const vendorMs = timeOf(shares.map((s) => s.line)).statedMs;
  return { kind: 'only-at-vendor', leaseId: null, ...billed(shares), vendorMs, oursNano: 0n, oursMs: 0 };
}

function billed(shares: readonly Share[]) {
  const lines = shares.map((s) => s.line);
  // The dearest says best what it was.
  const main = shares.reduce((a, b) => (b.amountNano > a.amountNano ? b : a), shares[0] ?? nobody());
  return {
    machineId: main.machineId,
    what: main.line.what,
    fromMs: lines.reduce((a, l) => Math.min(a, l.fromMs), Infinity),
    toMs: lines.reduce((a, l) => Math.max(a, l.toMs), -Infinity),
    vendorNano: sum(shares, (s) => s.amountNano),
    lines: lines.length,
    firstLine: lines.reduce((a, l) => Math.min(a, l.n), Infinity),
  };
}

function nobody(): never {
  throw new RangeError('a comparison is made of at least one line');
}

/**
 * Machine time of a lease's lines. Where the vendor states it, it counts once for each machine and window, however many lines it is spread
 * over (machine, disk, network). Where it does not, it lies between nothing in the outermost windows and all of them.
 */
function timeOf(lines: readonly VendorLine[]): { statedMs: number | null; leastMs: number; mostMs: number } {
  const stated = new Map<string, number>();
  for (const l of lines)
    if (l.statedMs !== null) {
      const key = `${l.machineIds[0]} ${l.fromMs} ${l.toMs}`;
      stated.set(key, Math.max(stated.get(key) ?? 0, l.statedMs));
    }
  if (stated.size > 0) {
    const statedMs = [...stated.values()].reduce((a, ms) => a + ms, 0);
    return { statedMs, leastMs: statedMs, mostMs: statedMs };
  }
  const windows = [...new Map(lines.map((l) => [`${l.fromMs} ${l.toMs}`, l])).values()].sort(
    (a, b) => a.fromMs - b.fromMs,
  );
  let [mostMs, through] = [0, -Infinity];
  for (const w of windows) {
    mostMs += Math.max(0, w.toMs - Math.max(w.fromMs, through));
    through = Math.max(through, w.toMs);
  }
  const [first, last] = [windows[0], windows.at(-1)];
  const edges = (first ? first.toMs - first.fromMs : 0) + (last ? last.toMs - last.fromMs : 0);
  return { statedMs: null, leastMs: Math.max(0, mostMs - edges), mostMs };
}

function groupBy<T>(list: readonly T[], of: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of list) push(groups, of(item), item);
  return groups;
}

function push<T>(groups: Map<string, T[]>, key: string, item: T): void {
  const known = groups.get(key);
  if (known) known.push(item);
  else groups.set(key, [item]);
}

const sortName = (c: Comparison): string => c.leaseId ?? `~${c.machineId ?? c.what}`;
const abs = (n: bigint): bigint => (n < 0n ? -n : n);
const sum = <T>(list: readonly T[], of: (item: T) => bigint): bigint => list.reduce((a, item) => a + of(item), 0n);
