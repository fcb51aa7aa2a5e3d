import { table } from '#platform/database';

/** One action of somebody: who, on what, and how it was before and after. Written once. */
export interface AuditRow {
  id: string;
  at: number;
  /** The API key that acted; null: the broker itself, by a rule or at a time that was set. */
  actorKeyId: string | null;
  actorOrganizationId: string | null;
  /** Whom it concerns; null when it concerns the installation. */
  organizationId: string | null;
  /** `<noun>.<verb>`: `invoice.void`, `credit.add`. */
  action: string;
  /** The id of what was acted on. */
  subject: string;
  before: unknown;
  after: unknown;
  /** The request that did it, as in the logs and in the answer. */
  requestId: string | null;
  /** Where the request came from. */
  actorAddress: string | null;
}

export const auditLog = table<AuditRow>(
  'audit_log',
  {
    id: 'text',
    at: 'time',
    actorKeyId: 'text',
    actorOrganizationId: 'text',
    organizationId: 'text',
    action: 'text',
    subject: 'text',
    before: 'json',
    after: 'json',
    requestId: 'text',
    actorAddress: 'text',
  },
  { key: ['id'] },
);
