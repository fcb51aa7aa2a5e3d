import { MINUTE } from '#kernel';
import type { PricingModel, VendorError, VendorErrorKind } from '#contracts';
import { table, type Tx } from '#platform/database';

/** What failed, where, and until when not to try again: shared by all tenants (D14). */
export interface FailureRow {
  /** `offer:<id>`, `zone:<provider>/<zone>`, `region:<provider>/<region>` or `account:<provider>`. */
  scope: string;
  kind: string;
  /** Those against a zone fade, so they are no whole number. */
  strikes: number;
  blockedUntil: number;
  lastAt: number;
  message: string;
}

export const failureMemory = table<FailureRow>(
  'failure_memory',
  { scope: 'text', kind: 'text', strikes: 'float', blockedUntil: 'time', lastAt: 'time', message: 'text' },
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
/** Refusals of single offers after which their whole zone is taken to be full, and how fast such refusals are forgotten. */
const ZONE_FULL_AFTER = 3;
const ZONE_HALF_LIFE_MS = 20 * MINUTE;

/** What was asked for when it failed. */
export interface FailedOffer {
  readonly id: string;
  readonly providerId: string;
  readonly region: string;
  readonly zone?: string | null;
  readonly pricing: PricingModel;
}

export interface Failure {
  readonly kind: VendorErrorKind | 'boot-failed' | 'lost' | 'preempted';
  readonly scope: VendorError['scope'];
  readonly message: string;
  readonly retryAfterMs?: number | null;
}

const zoneKey = ({ providerId, zone }: FailedOffer): string | null =>
  zone === null || zone === undefined ? null : `zone:${providerId}/${zone}`;

/** How far a failure reaches: what is wrong with the account is wrong everywhere, whatever was asked for when it showed. */
function scopeKey(offer: FailedOffer, { kind, scope }: Failure): string {
  if (scope === 'account' || kind === 'unauthorized' || kind === 'payment-required')
    return `account:${offer.providerId}`;
  if (scope === 'region') return `region:${offer.providerId}/${offer.region}`;
  return (scope === 'zone' ? zoneKey(offer) : null) ?? `offer:${offer.id}`;
}

/**
 * Backoff belongs to what failed, never to the job that met it: it holds for every tenant. An offer without capacity counts
 * against its zone too: from the third such refusal, of whatever offers, nobody is sent there for a while. That there is no spot machine says nothing about the others.
 */
export async function rememberFailure(tx: Tx, offer: FailedOffer, failure: Failure): Promise<void> {
  const scope = scopeKey(offer, failure);
  await strike(tx, scope, failure);
  const zone = zoneKey(offer);
  if (failure.kind === 'no-capacity' && offer.pricing !== 'spot' && scope.startsWith('offer:') && zone !== null)
    await strike(tx, zone, { ...failure, retryAfterMs: null }, { freeStrikes: ZONE_FULL_AFTER - 1 });
}

/** How long the vendor wants to be left alone: what is no time is not heard, and after the longest block it is asked again. */
const asAsked = (ms: number | null | undefined): number | null =>
  ms === null || ms === undefined || Number.isNaN(ms) ? null : Math.min(LONGEST_MS, Math.max(0, ms));

/** A strike against one scope; the block doubles with each, after those that are free. */
async function strike(
  tx: Tx,
  scope: string,
  failure: Failure,
  { freeStrikes = 0 }: { freeStrikes?: number } = {},
): Promise<void> {
  const first = FIRST_BLOCK_MS[failure.kind];
  if (first === undefined) return;
  const now = await tx.now();
  const before = await tx.first(failureMemory, { scope }, { lock: 'update' });
  // A quiet hour forgives everything; strikes against a zone fade before that.
  const quietMs = before ? now - before.lastAt : Infinity;
  const known = before && quietMs < LONGEST_MS ? before.strikes : 0;
  const strikes = (freeStrikes > 0 ? known * 0.5 ** (quietMs / ZONE_HALF_LIFE_MS) : known) + 1;
  // To the nearest whole one: three refusals never come in the same instant.
  const counted = Math.round(strikes) - freeStrikes;
  const blockMs =
    counted <= 0 ? 0 : (asAsked(failure.retryAfterMs) ?? Math.min(LONGEST_MS, first * 2 ** Math.min(counted - 1, 10)));
  await tx.upsert(failureMemory, [
    {
      scope,
      kind: failure.kind,
      strikes,
      blockedUntil: Math.max(now + blockMs, freeStrikes > 0 ? (before?.blockedUntil ?? 0) : 0),
      lastAt: now,
      message: failure.message.slice(0, 500),
    },
  ]);
}

/** One scope that is left alone until `untilMs`, in the form that placement takes. */
export interface BlockedScope {
  readonly scope:
    | { readonly kind: 'offer'; readonly offerId: string }
    | { readonly kind: 'zone'; readonly providerId: string; readonly zone: string }
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
    const [providerId = '', place = ''] = splitOnce(rest, '/');
    if (kind === 'zone') return [{ scope: { kind, providerId, zone: place }, untilMs: r.blockedUntil }];
    return kind === 'region' ? [{ scope: { kind, providerId, region: place }, untilMs: r.blockedUntil }] : [];
  });
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
