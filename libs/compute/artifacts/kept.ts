import { PgTx, sql } from '#platform/database';
import type { KeptFiles } from '#money/storage';
import { artifacts } from './artifacts.table.js';

/** What metering asks of the files that tenants keep; deleted ones count until they were deleted. */
export const keptFiles: KeptFiles = {
  async owners(tx, { after, limit }) {
    if (tx instanceof PgTx) {
      // From one organization to the next by the index, however many files each has.
      const rows = await tx.query<{ id: string }>(
        sql`with recursive owner (id) as (
              (select organization_id from artifacts where organization_id > ${after} order by organization_id limit 1)
              union all
              select (select a.organization_id from artifacts a where a.organization_id > owner.id order by a.organization_id limit 1)
                from owner where owner.id is not null
            ) select id from owner where id is not null limit ${limit}`,
      );
      return rows.map((r) => r.id);
    }
    const found = await tx.find(artifacts, { organizationId: { gt: after } });
    return [...new Set(found.map((f) => f.organizationId))].sort().slice(0, limit);
  },

  async since(tx, organizationIds) {
    if (tx instanceof PgTx) {
      const rows = await tx.query<{ organization_id: string; since: Date }>(
        sql`select organization_id, min(created_at) as since from artifacts
            where organization_id = any(${organizationIds}::text[]) group by organization_id`,
      );
      return new Map(rows.map((r) => [r.organization_id, r.since.getTime()]));
    }
    const since = new Map<string, number>();
    for (const { organizationId, createdAt } of await tx.find(artifacts, { organizationId: { in: organizationIds } }))
      since.set(organizationId, Math.min(since.get(organizationId) ?? createdAt, createdAt));
    return since;
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
