import type { VendorMachine } from '#contracts';
import { isAlive, type LeaseAttemptRow, type LeaseRow } from '#compute/leases';
import type { OrphanReason } from './orphans.table.js';

/** A list is not believed when it lacks more than this share of the machines that it must show, and at least so many. */
export const DOUBTED_SHARE = 0.2;
export const DOUBTED_AT_LEAST = 3;

export function isDoubtful(known: number, missing: number): boolean {
  return missing >= DOUBTED_AT_LEAST && missing > known * DOUBTED_SHARE;
}

const SHOWN: ReadonlySet<LeaseRow['state']> = new Set(['provisioning', 'booting', 'ready', 'draining']);

/** Whether a list of the world at `listOfMs` must show this lease's machine: it was there by then and nobody has ended it since. */
export function mustBeShown(lease: LeaseRow, listOfMs: number): lease is LeaseRow & { vendorId: string } {
  return lease.vendorId !== null && SHOWN.has(lease.state) && lease.stateSince < listOfMs;
}

export interface Records {
  /** Vendor's ids of machines that a lease wants, or wanted until after the list's instant. */
  readonly wanted: ReadonlySet<string>;
  readonly attempts: ReadonlyMap<string, LeaseAttemptRow>;
  /** When the newest attempt of all was written; 0 where there is none. */
  readonly newestIntentAt: number;
}

export interface Orphan {
  readonly machine: VendorMachine;
  readonly reason: OrphanReason;
  /** From then on it may be terminated. */
  readonly dueAtMs: number;
}

/** What a living machine of ours is when no row wants it; null where one does or where it is in flight. */
export function judgeOrphan(machine: VendorMachine, records: Records, graceMs: number): Orphan | null {
  if (!isAlive(machine) || machine.state === 'stopping' || records.wanted.has(machine.vendorId)) return null;
  const attempt = machine.attemptId === null ? undefined : records.attempts.get(machine.attemptId);
  if (attempt?.state === 'calling' || attempt?.state === 'unknown') return null;
  const dueAtMs = (machine.createdAtMs ?? attempt?.intentAt ?? 0) + graceMs;
  if (attempt) {
    return attempt.state === 'superseded'
      ? { machine, reason: 'superseded', dueAtMs: 0 }
      : { machine, reason: 'ended', dueAtMs };
  }
  if (machine.attemptId !== null) return { machine, reason: 'unknown-attempt', dueAtMs: 0 };
  const newer = machine.createdAtMs !== null && machine.createdAtMs > records.newestIntentAt;
  return newer ? { machine, reason: 'newer-than-records', dueAtMs: 0 } : { machine, reason: 'no-attempt', dueAtMs };
}

/**
 * Whether this orphan shows that the database is older than the vendor: attempts are committed before their call and never
 * deleted, so a machine of ours of an attempt that we do not know was rented by records that are gone (a restored backup), or
 * by another installation with our id (a copy of the database). One is proof; such a machine may be doing somebody's work.
 */
export function provesLostRecords(orphan: Orphan): boolean {
  return orphan.reason === 'unknown-attempt' || orphan.reason === 'newer-than-records';
}
