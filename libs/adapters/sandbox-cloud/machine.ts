import { SeededRandom, StateMachine, hash32 } from '#kernel';
import type { FaultRule } from './fault.js';
import type { CloudSettings, Sku } from './sku.js';
import type { CloudCreate, CloudMachineView } from './wire.js';

export type CloudState = 'pending' | 'provisioning' | 'running' | 'stopping' | 'terminated' | 'failed' | 'preempted';

export const cloudMachine = new StateMachine<CloudState>('sandbox machine', 'pending', {
  pending: ['provisioning', 'stopping'],
  provisioning: ['running', 'failed', 'stopping'],
  running: ['stopping', 'failed', 'preempted'],
  stopping: ['terminated'],
  terminated: [],
  failed: [],
  preempted: [],
});

/** Something that will happen to a machine by itself. `notice` announces the loss, `silence` kills its agent. */
export interface Change {
  readonly atMs: number;
  readonly to: CloudState | 'notice' | 'silence';
}

/** A machine as the cloud keeps it; only SandboxCloud changes one. */
export interface CloudMachine {
  readonly id: string;
  /** Order of creation, from 1. */
  readonly seq: number;
  readonly sku: Sku;
  readonly request: CloudCreate;
  readonly createdAtMs: number;
  state: CloudState;
  /** Every state it has had, oldest first; stale reads are answered from it. */
  history: { readonly atMs: number; readonly state: CloudState }[];
  /** What lies ahead, soonest first. */
  timeline: Change[];
  billedFromMs: number | null;
  endedAtMs: number | null;
  interrupt: { readonly noticedAtMs: number; readonly atMs: number } | null;
  /** True: its agent never speaks again, whatever the vendor says. */
  agentDead: boolean;
}

/** A stream of its own for each (seed, id, purpose), so that one draw never moves another. */
export function streamFor(seed: number | string, id: string, purpose: string): SeededRandom {
  return new SeededRandom(`${seed}/${purpose}/${id}`);
}

/** Machine id from its name and how many of that name came before: other machines do not change it. */
export function machineId(seed: number | string, name: string, nth: number): string {
  const half = (purpose: string): string =>
    Math.floor(streamFor(seed, `${name}/${nth}`, purpose).float() * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  return `sbx-${half('id-high')}${half('id-low')}`;
}

/** All that will happen to a new machine if nobody interferes; `faults` are the machine faults that struck. */
export function planTimeline(
  machine: Pick<CloudMachine, 'id' | 'sku' | 'createdAtMs'>,
  seed: number | string,
  settings: CloudSettings,
  faults: readonly FaultRule[],
): Change[] {
  const { id, sku, createdAtMs } = machine;
  const slow = faults.filter((f) => f.kind === 'slow-boot').reduce((sum, f) => sum + (f.arg ?? 600_000), 0);
  const bootMs = streamFor(seed, id, 'boot').int(...sku.bootMs) + slow;
  const runningAt = createdAtMs + bootMs;
  const provisioning: Change = { atMs: createdAtMs + Math.floor(bootMs / 10), to: 'provisioning' };
  if (faults.some((f) => f.kind === 'boot-failure')) return [provisioning, { atMs: runningAt, to: 'failed' }];

  const later: Change[] = [];
  const take = (afterMs: number, noticeMs: number | undefined): void => {
    const atMs = runningAt + afterMs;
    if (noticeMs) later.push({ atMs: Math.max(runningAt, atMs - noticeMs), to: 'notice' });
    later.push({ atMs, to: 'preempted' });
  };
  for (const fault of faults) {
    if (fault.kind === 'preemption') take(fault.arg ?? 60_000, fault.noticeMs);
    if (fault.kind === 'silent-death') later.push({ atMs: runningAt + (fault.arg ?? 0), to: 'silence' });
    if (fault.kind === 'crash') later.push({ atMs: runningAt + (fault.arg ?? 60_000), to: 'failed' });
  }
  if (sku.preemptionsPerHour > 0 && !faults.some((f) => f.kind === 'preemption')) {
    // Exponential waiting time: losses come at a constant rate, independent of age.
    const hours = -Math.log(1 - streamFor(seed, id, 'preemption').float()) / sku.preemptionsPerHour;
    take(Math.ceil(hours * 3_600_000), settings.preemptionNoticeMs);
  }
  // Array.sort is stable: a notice stays before the loss of the same instant.
  later.sort((a, b) => a.atMs - b.atMs);
  const end = later.findIndex((change) => change.to === 'preempted' || change.to === 'failed');
  return [provisioning, { atMs: runningAt, to: 'running' }, ...(end < 0 ? later : later.slice(0, end + 1))];
}

/** The loss a notice speaks of. */
export function announcedLoss(machine: CloudMachine): number | null {
  return machine.timeline.find((change) => change.to === 'preempted')?.atMs ?? null;
}

/** The machine as a reader of the world at `asOfMs` sees it; null = not there yet, or no longer shown. */
export function viewAt(machine: CloudMachine, asOfMs: number, retentionMs: number): CloudMachineView | null {
  if (machine.createdAtMs > asOfMs) return null;
  if (machine.endedAtMs !== null && machine.endedAtMs + retentionMs < asOfMs) return null;
  const then = machine.history.findLast((entry) => entry.atMs <= asOfMs)?.state ?? 'pending';
  const seen = (atMs: number | null): number | null => (atMs !== null && atMs <= asOfMs ? atMs : null);
  return {
    id: machine.id,
    name: machine.request.name,
    status: then,
    sku: machine.sku.name,
    region: machine.sku.region,
    tags: { ...machine.request.tags },
    createdAtMs: machine.createdAtMs,
    billedFromMs: seen(machine.billedFromMs),
    address: then === 'running' ? addressOf(machine.id) : null,
    interruptAtMs: machine.interrupt && machine.interrupt.noticedAtMs <= asOfMs ? machine.interrupt.atMs : null,
  };
}

function addressOf(id: string): string {
  const h = hash32(id);
  return `10.${(h >>> 16) & 255}.${(h >>> 8) & 255}.${1 + (h % 254)}`;
}
