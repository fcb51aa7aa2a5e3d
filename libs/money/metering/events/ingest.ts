import type { Procedure } from '#platform/database';
import { projects } from '#identity/tenancy';
import { usageRecords, usageRow, type Meter } from '../usage.table.js';
import { usageEvents, usageUnattributed, type UnattributedReason } from './events.table.js';

/** One letter for each event, in their order: accepted, kept as unattributed, a duplicate, the same id with another payload. */
export type OutcomeLetter = 'a' | 'u' | 'd' | 'c';

/** Columns of a batch: the n-th value of each belongs to the n-th event; where a column ends early, it is null. Numbers are texts: all travel as arrays of text. */
export interface IngestColumns {
  /** Ids of the usage records to be. */
  ids: string[];
  sources: string[];
  eventIds: string[];
  /** As PostgreSQL writes bytes: `\x` and hex. */
  hashes: string[];
  /** Milliseconds since the epoch. */
  times: string[];
  meters: string[];
  units: string[];
  quantities: string[];
  projectIds: (string | null)[];
  jobIds: (string | null)[];
  endpointIds: (string | null)[];
  leaseIds: (string | null)[];
  models: (string | null)[];
  resources: string[];
  /** Why an event belongs nowhere, as far as it is known without the projects. */
  reasons: (UnattributedReason | null)[];
}

/**
 * A whole batch in one call: each (source, id) is remembered once for its tenant, and what is new becomes a usage record or, where no
 * project of the tenant is known for it, is kept as unattributed. The first of equal ids in a batch counts.
 */
export const usageIngest: Procedure<{ organizationId: string; at: number } & IngestColumns, { outcomes: string }> = {
  name: 'usage_ingest',
  args: {
    organizationId: 'text',
    at: 'time',
    ids: 'texts',
    sources: 'texts',
    eventIds: 'texts',
    hashes: 'texts',
    times: 'texts',
    meters: 'texts',
    units: 'texts',
    quantities: 'texts',
    projectIds: 'texts',
    jobIds: 'texts',
    endpointIds: 'texts',
    leaseIds: 'texts',
    models: 'texts',
    resources: 'texts',
    reasons: 'texts',
  },
  result: { outcomes: 'text' },
  inMemory: async (tx, { organizationId, at, ...c }) => {
    const named = c.projectIds.filter((id) => id !== null);
    const mine = new Set((await tx.find(projects, { organizationId, id: { in: named } })).map((p) => p.id));
    let outcomes = '';
    for (const [n, id] of c.ids.entries()) {
      const of = <T>(column: readonly T[]): T => (column[n] ?? null) as T;
      const source = of(c.sources);
      const eventId = of(c.eventIds);
      const hash = of(c.hashes).slice(2);
      const event = { organizationId, source, eventId };
      const known = await tx.first(usageEvents, event);
      if (known) {
        outcomes += known.payloadHash === hash ? 'd' : 'c';
        continue;
      }
      await tx.insert(usageEvents, { ...event, payloadHash: hash, usageId: id, receivedAt: at });
      const projectId = of(c.projectIds);
      const of_ = {
        organizationId,
        source,
        meter: of(c.meters) as Meter,
        quantity: BigInt(of(c.quantities)),
        jobId: of(c.jobIds),
        endpointId: of(c.endpointIds),
        leaseId: of(c.leaseIds),
        model: of(c.models),
        resource: of(c.resources),
        createdAt: at,
      };
      const ms = Number(of(c.times));
      const unknown = projectId === null || !mine.has(projectId) ? 'unknown-project' : null;
      const reason = of(c.reasons) ?? unknown;
      if (projectId !== null && reason === null) await tx.insert(usageRecords, toldRow({ ...of_, id, projectId, ms }));
      else {
        const unit = of(c.units) as never;
        const kept = { ...of_, id, eventId, at: ms, unit, projectId, reason: reason ?? ('unknown-project' as const) };
        await tx.insert(usageUnattributed, kept);
      }
      outcomes += reason === null ? 'a' : 'u';
    }
    return { outcomes };
  },
};

/** The record of what a tenant tells: it costs nothing, and its time is the millisecond of the event. */
export function toldRow(
  of: Pick<
    Parameters<typeof usageRow>[0],
    'id' | 'organizationId' | 'projectId' | 'meter' | 'quantity' | 'resource' | 'createdAt'
  > & {
    source: string;
    jobId: string | null;
    endpointId: string | null;
    leaseId: string | null;
    model: string | null;
    ms: number;
  },
) {
  const { ms, ...rest } = of;
  return usageRow({
    ...rest,
    key: rest.id,
    side: 'charge',
    fromAt: ms,
    toAt: ms + 1,
    unitPriceNano: 0n,
    amountNano: 0n,
  });
}
