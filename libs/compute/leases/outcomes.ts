import type { LeaseScope, OutcomeRow } from '#market/reliability';
import type { EndReason, LeaseRow } from './leases.table.js';

const HOUR_S = 3_600;

/** Ends of a machine that was there and that nobody gave back. */
export const lossReasons: readonly EndReason[] = ['lost', 'preempted', 'failed'];

const scopeOf = ({ offer }: LeaseRow): LeaseScope => ({
  providerKind: offer.providerKind,
  providerId: offer.providerId,
  region: offer.region,
  sku: offer.sku,
  pricing: offer.pricing,
  hostId: offer.hostId,
});

/** A start that worked. Its time counts where it was the first try: what was tried before it is not this machine's boot. */
export function outcomeOfStart(lease: LeaseRow, nowMs: number): OutcomeRow {
  return {
    ...scopeOf(lease),
    id: `${lease.id}/start/${lease.attemptN}`,
    kind: 'started',
    at: nowMs,
    bootS: lease.attemptN === 1 ? Math.max(0, Math.round((nowMs - lease.requestedAt) / 1_000)) : null,
    fromAgeS: null,
    ageS: null,
  };
}

/**
 * What the end of a lease tells of its provider: a loss, a machine that ran without one, or a start that failed. Null
 * where it tells nothing: let go before it was there, or refused for the account's sake.
 */
export function outcomeOfEnd(lease: LeaseRow, reason: EndReason, message: string, nowMs: number): OutcomeRow | null {
  const base = { ...scopeOf(lease), at: nowMs, bootS: null };
  if (lease.acceptedAt === null) {
    const isFailure = reason === 'failed' || (reason === 'rejected' && message.startsWith('no-capacity'));
    if (!isFailure) return null;
    return { ...base, id: `${lease.id}/start/${lease.attemptN}`, kind: 'start-failed', fromAgeS: null, ageS: null };
  }
  const untilMs = lease.state === 'terminating' ? lease.stateSince : nowMs;
  const ageS = Math.max(0, Math.round((untilMs - lease.acceptedAt) / 1_000));
  return {
    ...base,
    id: `${lease.id}/end`,
    kind: lossReasons.includes(reason) ? 'lost' : 'ran',
    // Whole hours of age were told while it ran.
    fromAgeS: Math.floor(ageS / HOUR_S) * HOUR_S,
    ageS,
  };
}

/** The whole hours of age that a running lease completed between two looks; null where it completed none. */
export function outcomeOfHours(lease: LeaseRow, beforeMs: number, nowMs: number): OutcomeRow | null {
  const from = lease.acceptedAt;
  if (from === null) return null;
  const hours = (ms: number): number => Math.max(0, Math.floor((ms - from) / 1_000 / HOUR_S));
  const [done, now] = [hours(beforeMs), hours(nowMs)];
  if (now <= done) return null;
  return {
    ...scopeOf(lease),
    id: `${lease.id}/hours/${now}`,
    kind: 'ran',
    at: nowMs,
    bootS: null,
    fromAgeS: done * HOUR_S,
    ageS: now * HOUR_S,
  };
}
