import type { StateMachine } from '#kernel';
import { accounts, entries } from '#money/ledger';
import { holds } from '#money/quotas';
import { leaseAttempts, leaseMachine, leases, type LeaseRow } from '#compute/leases';
import { events } from '#platform/reconcile';
import { jobMachine, jobs, shards, type JobRow, type ShardRow } from '#work/jobs';
import type { History } from '../history.js';
import type { Change } from '../ports/store.js';
import { checkMachines } from './machines.js';

interface Known {
  readonly state: string;
  readonly version: number;
}

const books = new Set([accounts.name, entries.name, holds.name]);

/** What must hold after every single commit. */
export class CommitChecks {
  private readonly known = new Map<string, Known>();
  private readonly shardsDone = new Set<string>();

  constructor(private readonly history: History) {}

  check(changes: readonly Change[]): void {
    const told = new Set(
      changes.flatMap(({ table, rows }) =>
        table === events.name ? (rows as { subjectId: string; n: number }[]).map((e) => `${e.subjectId}/${e.n}`) : [],
      ),
    );
    let money = false;
    for (const { table, rows } of changes) {
      money ||= books.has(table);
      if (table === leases.name) for (const row of rows as LeaseRow[]) this.moved(row, leaseMachine, told);
      else if (table === jobs.name) for (const row of rows as JobRow[]) this.moved(row, jobMachine, told);
      else if (table === shards.name) for (const row of rows as ShardRow[]) this.shard(row);
      else if (table === leaseAttempts.name) checkMachines(this.history);
    }
    if (money) checkBooks(this.history);
  }

  private fail(what: string): void {
    this.history.failures.push(what);
  }

  /** Invariant 5: every step of a row is in its table, raises its version and is told of in the same transaction. */
  private moved<S extends string>(
    row: { id: string; state: S; version: number },
    machine: StateMachine<S>,
    told: ReadonlySet<string>,
  ): void {
    const before = this.known.get(row.id);
    this.known.set(row.id, { state: row.state, version: row.version });
    if (before?.state !== row.state) this.history.reached.saw(`${machine.name} ${row.state}`);
    if (!before) return;
    if (row.version < before.version) this.fail(`${row.id} went back from version ${before.version} to ${row.version}`);
    if (row.state === before.state) return;
    if (machine.isTerminal(before.state as S))
      this.fail(`${row.id} had ended as ${before.state} and became ${row.state}`);
    if (!machine.can(before.state as S, row.state)) this.fail(`${row.id} moved ${before.state} -> ${row.state}`);
    if (row.version === before.version) this.fail(`${row.id} became ${row.state} without a new version`);
    if (!told.has(`${row.id}/${row.version}`)) this.fail(`${row.id} became ${row.state} and no event tells of it`);
    if ('endReason' in row && row.endReason !== null) this.history.reached.saw(`lease ended: ${String(row.endReason)}`);
  }

  /** Each shard is done once, under a fence whose agent has really said so. */
  private shard(row: ShardRow): void {
    if (row.state !== 'done') return;
    if (this.shardsDone.has(row.id)) this.fail(`shard ${row.id} was done twice`);
    this.shardsDone.add(row.id);
    if (!this.history.reported.has(`${row.id}/${row.fence}/done`))
      this.fail(`shard ${row.id} is done under fence ${row.fence}, which nobody reported`);
    if (row.resultSha256 !== `${row.id}-${row.fence}`) this.fail(`shard ${row.id} holds the result of another fence`);
  }
}

/** Zero-sum, nothing below its bound, and held credit is what open holds have; at every instant. */
export function checkBooks(h: History): void {
  const fail = (what: string): void => void h.failures.push(what);
  const all = h.store.rows(accounts);
  const posted = new Map<string, bigint>();
  for (const e of h.store.rows(entries)) posted.set(e.accountId, (posted.get(e.accountId) ?? 0n) + e.amountNano);
  if ([...posted.values()].reduce((a, n) => a + n, 0n) !== 0n) fail('the ledger does not sum to zero');
  for (const row of all) {
    // Folded accounts are moved by the sealer, which has no part in these histories.
    if (row.balanceNano !== (row.folded ? 0n : (posted.get(row.id) ?? 0n))) fail(`${row.id} has not what was posted`);
    if (row.balanceNano !== row.availableNano + row.heldNano) fail(`${row.id}: balance is not available + held`);
    if (row.bounded && (row.availableNano < -row.creditLimitNano || row.heldNano < 0n)) fail(`${row.id} is below zero`);
  }
  const open = h.store.rows(holds).filter((r) => r.state === 'held');
  if (open.some((r) => r.remainingNano < 0n)) fail('a hold has less than nothing');
  const held = all.filter((a) => a.kind === 'credit').reduce((a, r) => a + r.heldNano, 0n);
  const inHolds = open.reduce((a, r) => a + r.remainingNano, 0n);
  if (held !== inHolds) fail(`held credit is ${held}, open holds have ${inHolds}`);
}
