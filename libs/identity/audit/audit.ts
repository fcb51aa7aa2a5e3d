import { newId } from '#kernel';
import type { Store, Tx } from '#platform/database';
import type { Principal } from '#identity/tenancy';
import { auditLog, type AuditRow } from './audit.table.js';

/** Who acts. */
export interface Author {
  readonly keyId: string | null;
  readonly organizationId: string | null;
  readonly requestId: string | null;
  /** Where the request came from; behind a trusted proxy the client's own address. */
  readonly address: string | null;
}

/** The broker itself: what a rule or a date sets off, with nobody asking. */
export const BROKER: Author = { keyId: null, organizationId: null, requestId: null, address: null };

/** The author of a call of the API; takes the call as it is. */
export function authorOf(call: {
  readonly principal: Principal;
  readonly requestId: string;
  readonly request: { readonly ip: string };
}): Author {
  const { keyId, organizationId } = call.principal;
  return { keyId, organizationId, requestId: call.requestId, address: call.request.ip };
}

export interface Act {
  readonly by: Author;
  /** Whom it concerns; null when it concerns the installation. */
  readonly organizationId: string | null;
  /** `<noun>.<verb>`. */
  readonly action: string;
  readonly subject: string;
  /** As data that may be shown to administrators: no secrets. Absent: there was nothing before, or is nothing after. */
  readonly before?: object | null;
  readonly after?: object | null;
}

/** Writes what was done, in the transaction that does it: either both are there or neither. */
export async function audit(tx: Tx, act: Act): Promise<void> {
  const at = await tx.now();
  await tx.insert(auditLog, {
    id: newId('audit', at),
    at,
    actorKeyId: act.by.keyId,
    actorOrganizationId: act.by.organizationId,
    organizationId: act.organizationId,
    action: act.action,
    subject: act.subject,
    before: plain(act.before),
    after: plain(act.after),
    requestId: act.by.requestId,
    actorAddress: act.by.address,
  });
}

/** Amounts become text, as everywhere on the wire. */
function plain(value: object | null | undefined): unknown {
  if (!value) return null;
  return JSON.parse(JSON.stringify(value, (_key, v: unknown) => (typeof v === 'bigint' ? v.toString() : v)));
}

export interface AuditFilter {
  readonly organizationId?: string;
  readonly actorKeyId?: string;
  readonly action?: string;
  readonly subject?: string;
  readonly fromMs?: number;
  readonly toMs?: number;
}

/** Newest first; `page.after` is the id of the last row of the page before. */
export function readAudit(
  store: Store,
  who: Principal,
  filter: AuditFilter,
  page: { readonly limit: number; readonly after?: readonly unknown[] },
): Promise<AuditRow[]> {
  const { fromMs, toMs, ...equal } = filter;
  const own = who.role === 'platform-admin' ? {} : { organizationId: who.organizationId };
  const since = fromMs === undefined ? {} : { at: { gte: fromMs } };
  const until = toMs === undefined ? {} : { id: { lt: idAt(toMs) } };
  return store.transaction(who.actor, (tx) =>
    tx.find(auditLog, { ...equal, ...own, ...since, ...until }, { ...page, orderBy: [['id', 'desc']] }),
  );
}

/** Below every id of this millisecond and above all earlier ones: an id begins with the time of its row. */
function idAt(ms: number): string {
  return newId('audit', ms).slice(0, 'aud_'.length + 10);
}
