import type { MemoryStore } from '#platform/database';
import { endReasons, leases, leaseStates } from '#compute/leases';
import { jobMachine, jobs } from '#work/jobs';
import { allFaults } from './faults.js';

const jobStates = [
  'queued',
  'placing',
  'starting',
  'running',
  'recovering',
  'succeeded',
  'failed',
  'cancelled',
] as const;
/** In these a row still moves, so that a fault can matter. */
const liveLease = leaseStates.filter((s) => s !== 'ended').map((s) => `lease ${s}`);
const liveJob = jobStates.filter((s) => !jobMachine.isTerminal(s)).map((s) => `job ${s}`);
const columns = [...liveLease, ...liveJob];

const nets = ['orphan', 'superseded-machine', 'direct-reconcile'];

/** Every one of these must occur in some history, else the histories prove less than they seem to. */
const SOMETIMES: readonly string[] = [
  ...leaseStates.map((s) => `lease ${s}`),
  // Nothing ends a lease as expired yet.
  ...endReasons.filter((r) => r !== 'expired').map((r) => `lease ended: ${r}`),
  ...jobStates.map((s) => `job ${s}`),
  ...nets.map((n) => `repair ${n}`),
  'a list was not believed',
  'machines that a restored database does not know',
  'orphan sweep paused after a restore',
  ...allFaults,
];

/** What happened in some history: states, repairs, and which faults struck while some row was in which state. */
export class Reached {
  readonly seen = new Map<string, number>();
  readonly pairs = new Map<string, number>();

  saw(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  struck(fault: string, store: MemoryStore): void {
    this.saw(fault);
    const states = new Set([
      ...store.rows(leases).map((l) => `lease ${l.state}`),
      ...store.rows(jobs).map((j) => `job ${j.state}`),
    ]);
    for (const state of states) {
      const pair = `${fault}|${state}`;
      this.pairs.set(pair, (this.pairs.get(pair) ?? 0) + 1);
    }
  }

  add(other: Reached): void {
    for (const [what, n] of other.seen) this.seen.set(what, (this.seen.get(what) ?? 0) + n);
    for (const [pair, n] of other.pairs) this.pairs.set(pair, (this.pairs.get(pair) ?? 0) + n);
  }

  /** What never occurred and must have. */
  missing(): string[] {
    return SOMETIMES.filter((what) => !this.seen.has(what));
  }

  /** Faults by the states that rows were in when they struck. */
  table(): string {
    const short = (column: string): string => column.replace('lease ', 'L.').replace('job ', 'J.').slice(0, 8);
    const lines = [`${''.padEnd(38)}${columns.map((c) => short(c).padStart(9)).join('')}`];
    let reached = 0;
    for (const fault of allFaults) {
      const cells = columns.map((c) => this.pairs.get(`${fault}|${c}`) ?? 0);
      reached += cells.filter((n) => n > 0).length;
      lines.push(`${fault.padEnd(38)}${cells.map((n) => String(n === 0 ? '.' : n).padStart(9)).join('')}`);
    }
    const other = [...this.seen].filter(([what]) => !allFaults.includes(what)).sort();
    lines.push(`${reached} of ${allFaults.length * columns.length} pairs of fault and state`);
    lines.push(other.map(([what, n]) => `${what}: ${n}`).join(', '));
    return lines.join('\n');
  }
}
