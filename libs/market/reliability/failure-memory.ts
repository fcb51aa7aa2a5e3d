import { MINUTE } from '#kernel';
import type { VendorError, VendorErrorKind } from '#contracts';
import { table, type Tx } from '#platform/database';

/** What failed, where, and until when not to try again: shared by all tenants (D14). */
export interface FailureRow {
  /** `offer:<id>`, `region:<provider>/<region>` or `account:<provider>`. */
  scope: string;
  kind: string;
  strikes: number;
  blockedUntil: number;
  lastAt: number;
  message: string;
}

export const failureMemory = table<FailureRow>(
  'failure_memory',
  { scope: 'text', kind: 'text', strikes: 'int', blockedUntil: 'time', lastAt: 'time', message: 'text' },
  { key: ['scope'] },
);

/** First block of each kind; it doubles with each strike up to an hour. Kinds without a value block nothing. */
const FIRST_BLOCK_MS: Partial<Record<VendorErrorKind | 'boot-failed' | 'lost' | 'preempted', number>> = {
  'no-capacity': 2 * MINUTE,
  'quota-exceeded': 10 * MINUTE,
  'invalid-request': 30 * MINUTE,
  unauthorized: 10 * MINUTE,
  'payment-required': 10 * MINUTE,
  'rate-limited': 15_000,
  transient: 10_000,
  'outcome-unknown': MINUTE,
  'boot-failed': 2 * MINUTE,
  lost: 2 * MINUTE,
  preempted: MINUTE,
};

const LONGEST_MS = 60 * MINUTE;

function scopeKey(offer: { id: string; providerId: string; region: string }, scope: VendorError['scope']): string {
  if (scope === 'account') return `account:${offer.providerId}`;
  if (scope === 'region') return `region:${offer.providerId}/${offer.region}`;
  return `offer:${offer.id}`;
}

/** Backoff belongs to what failed, never to the job that met it. */
export async function rememberFailure(
  tx: Tx,
  offer: { id: string; providerId: string; region: string },
  failure: {
    kind: VendorErrorKind | 'boot-failed' | 'lost' | 'preempted';
    scope: VendorError['scope'];
    message: string;
    retryAfterMs?: number | null;
  },
): Promise<void> {
  const first = FIRST_BLOCK_MS[failure.kind];
  if (first === undefined) return;
  const now = await tx.now();
  const scope = scopeKey(offer, failure.scope);
  const before = await tx.first(failureMemory, { scope });
  // A quiet hour forgives everything.
  const strikes = before && now - before.lastAt < LONGEST_MS ? before.strikes + 1 : 1;
  const blockMs = failure.retryAfterMs ?? Math.min(LONGEST_MS, first * 2 ** Math.min(strikes - 1, 10));
  await tx.upsert(failureMemory, [
    {
      scope,
      kind: failure.kind,
      strikes,
      blockedUntil: now + blockMs,
      lastAt: now,
      message: failure.message.slice(0, 500),
    },
  ]);
}

/** One scope that is left alone until `untilMs`, in the form that placement takes. */
export interface BlockedScope {
  readonly scope:
    | { readonly kind: 'offer'; readonly offerId: string }
    | { readonly kind: 'region'; readonly providerId: string; readonly region: string }
    | { readonly kind: 'account'; readonly providerId: string };
  readonly untilMs: number;
}

/** What is blocked now. */
export async function blockedScopes(tx: Tx): Promise<BlockedScope[]> {
  const now = await tx.now();
  const rows = await tx.find(failureMemory, { blockedUntil: { gt: now } });
  return rows.flatMap((r): BlockedScope[] => {
    const [kind, rest = ''] = splitOnce(r.scope, ':');
    if (kind === 'offer') return [{ scope: { kind, offerId: rest }, untilMs: r.blockedUntil }];
    if (kind === 'account') return [{ scope: { kind, providerId: rest }, untilMs: r.blockedUntil }];
    const [providerId = '', region = ''] = splitOnce(rest, '/');
    return kind === 'region' ? [{ scope: { kind, providerId, region }, untilMs: r.blockedUntil }] : [];
  });
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
