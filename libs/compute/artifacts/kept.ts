import { PgTx, sql } from '#platform/database';
import type { KeptFiles } from '#money/storage';
import { artifacts } from './artifacts.table.js';

/** What metering asks of the files that tenants keep; deleted ones count until they were deleted. */
export const keptFiles: KeptFiles = {
  async owners(tx) {
    if (tx instanceof PgTx) {
      const rows = await tx.query<{ organization_id: string; since: Date }>(
        sql`select organization_id, min(created_at) as since from artifacts group by organization_id`,
      );
      return rows.map((r) => ({ organizationId: r.organization_id, sinceMs: r.since.getTime() }));
    }
    const since = new Map<string, number>();
    for (const { organizationId, createdAt } of await tx.find(artifacts, {}))
      since.set(organizationId, Math.min(since.get(organizationId) ?? createdAt, createdAt));
    return [...since].map(([organizationId, sinceMs]) => ({ organizationId, sinceMs }));
  },

  async byteMs(tx, organizationId, untilMs) {
    if (tx instanceof PgTx) {
      const until = sql`${new Date(untilMs).toISOString()}::timestamptz`;
      const rows = await tx.query<{ project_id: string; byte_ms: string }>(
        sql`select project_id,
              sum(bytes::numeric * round(1000 * extract(epoch from least(coalesce(deleted_at, ${until}), ${until}) - created_at)))::numeric(38, 0)::text as byte_ms
            from artifacts where organization_id = ${organizationId} and created_at < ${until} group by project_id`,
      );
      return new Map(rows.map((r) => [r.project_id, BigInt(r.byte_ms)]));
    }
    const found = new Map<string, bigint>();
    for (const file of await tx.find(artifacts, { organizationId, createdAt: { lt: untilMs } })) {
      const ms = Math.min(file.deletedAt ?? untilMs, untilMs) - file.createdAt;
      found.set(file.projectId, (found.get(file.projectId) ?? 0n) + BigInt(file.bytes) * BigInt(ms));
    }
    return found;
  },
};
