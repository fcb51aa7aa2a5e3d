import { DomainError, newId, notFound, type Clock, type Random } from '#kernel';
import type { Actor, Store, Tx } from '#platform/database';
import { projects } from '#identity/tenancy';
import { METERS, usageRecords } from '../usage.table.js';
import { EventFault, payloadHash, readEvent, type UsageEvent } from './event.js';
import { usageUnattributed, type UnattributedReason, type UnattributedRow } from './events.table.js';
import { toldRow, usageIngest, type IngestColumns } from './ingest.js';

/** Most events of one batch. */
export const EVENT_BATCH_MAX = 1_000;

/** What becomes of an event. */
export type EventAnswer =
  | { readonly outcome: 'accepted'; readonly attributed: boolean }
  | { readonly outcome: 'duplicate' }
  | {
      readonly outcome: 'rejected';
      readonly code: EventFault['code'] | 'conflict';
      readonly field: string;
      readonly reason: string;
    };

/** Projects of the tenant's jobs and leases, by their ids: rooms above keep those. Unknown ids are absent. */
export type SubjectProjects = (
  tx: Tx,
  organizationId: string,
  of: { readonly jobIds: readonly string[]; readonly leaseIds: readonly string[] },
) => Promise<{ readonly jobs: ReadonlyMap<string, string>; readonly leases: ReadonlyMap<string, string> }>;

type Tenant = Actor & { readonly as: 'tenant' };

const ACCEPTED: EventAnswer = { outcome: 'accepted', attributed: true };
const UNATTRIBUTED: EventAnswer = { outcome: 'accepted', attributed: false };
const DUPLICATE: EventAnswer = { outcome: 'duplicate' };
const CONFLICT: EventAnswer = {
  outcome: 'rejected',
  code: 'conflict',
  field: 'id',
  reason: 'was sent before from this source with other contents',
};
const ANSWERS: Readonly<Record<string, EventAnswer>> = { a: ACCEPTED, u: UNATTRIBUTED, d: DUPLICATE, c: CONFLICT };

/** Usage that tenants tell of. It moves no money: Berth charges for what Berth measures. */
export class UsageEvents {
  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly projectsOf: SubjectProjects,
  ) {}

  /** Takes a batch in one transaction and answers each of its events, in their order. */
  async receive(tenant: Tenant, batch: readonly unknown[]): Promise<EventAnswer[]> {
    const nowMs = this.clock.now();
    const answers: EventAnswer[] = [];
    const events: UsageEvent[] = [];
    const places: number[] = [];
    for (const [n, raw] of batch.entries()) {
      const event = readEvent(raw, nowMs);
      if (event instanceof EventFault) {
        answers[n] = { outcome: 'rejected', code: event.code, field: event.field, reason: event.message };
        continue;
      }
      places.push(n);
      events.push(event);
    }
    if (events.length === 0) return answers;
    const outcomes = await this.store.transaction(tenant, (tx) => this.put(tx, tenant.organizationId, events, nowMs));
    for (const [i, n] of places.entries()) {
      const answer = ANSWERS[outcomes.charAt(i)];
      if (!answer) throw new Error(`the batch of ${events.length} events was answered with "${outcomes}"`);
      answers[n] = answer;
    }
    return answers;
  }

  /** What waits to be attributed, oldest first: a page of it. */
  unattributed(
    tenant: Tenant,
    page: { readonly limit: number; readonly after?: readonly unknown[] },
  ): Promise<UnattributedRow[]> {
    return this.store.transaction(tenant, (tx) =>
      tx.find(usageUnattributed, { organizationId: tenant.organizationId }, { orderBy: [['id', 'asc']], ...page }),
    );
  }

  /** Says to which project (and job) events belong; they become usage at the time at which they happened. All or none. */
  async attribute(
    tenant: Tenant,
    of: { readonly ids: readonly string[]; readonly projectId: string; readonly jobId?: string },
  ): Promise<number> {
    const { organizationId } = tenant;
    const { projectId, jobId } = of;
    const ids = [...new Set(of.ids)];
    return this.store.transaction(tenant, async (tx) => {
      if (!(await tx.first(projects, { organizationId, id: projectId }))) throw notFound('project', projectId);
      if (jobId !== undefined) {
        const { jobs } = await this.projectsOf(tx, organizationId, { jobIds: [jobId], leaseIds: [] });
        if (jobs.get(jobId) !== projectId)
          throw new DomainError('invalid', 'job-of-other-project', `The project has no job ${jobId}.`, {
            field: 'jobId',
          });
      }
      const rows = await tx.find(usageUnattributed, { organizationId, id: { in: ids } }, { orderBy: [['id', 'asc']] });
      const found = new Set(rows.map((r) => r.id));
      const missing = ids.find((id) => !found.has(id));
      if (missing !== undefined) throw notFound('unattributed event', missing);
      // Somebody else who attributes the same rows has taken them away; then nothing of ours is to stay.
      if ((await tx.remove(usageUnattributed, { organizationId, id: { in: ids } })) !== ids.length)
        throw new DomainError('conflict', 'changed-meanwhile', 'Some of these have just been attributed.', {
          retryable: true,
        });
      const createdAt = await tx.now();
      await tx.insert(
        usageRecords,
        rows.map(({ id, source, meter, quantity, endpointId, model, resource, at, ...r }) => {
          // What the event named and the tenant does not have is not said of the record.
          const leaseId = r.reason === 'unknown-lease' || r.reason === 'projects-differ' ? null : r.leaseId;
          const known = { source, meter, quantity, endpointId, leaseId, model, resource };
          return toldRow({ id, organizationId, projectId, jobId: jobId ?? null, ...known, ms: at, createdAt });
        }),
      );
      return ids.length;
    });
  }

  private async put(tx: Tx, organizationId: string, events: readonly UsageEvent[], nowMs: number): Promise<string> {
    const owners = await this.ownersOf(tx, organizationId, events);
    const columns = emptyColumns();
    const idOf = idsOf(nowMs, this.random);
    for (const [n, e] of events.entries()) {
      const { projectId, reason } = owners(e);
      columns.ids.push(idOf(n));
      columns.sources.push(e.source);
      columns.eventIds.push(e.eventId);
      columns.hashes.push(`\\x${payloadHash(e)}`);
      columns.times.push(String(e.atMs));
      columns.meters.push(e.meter);
      columns.units.push(METERS[e.meter]);
      columns.quantities.push(e.quantity);
      columns.projectIds.push(projectId);
      columns.jobIds.push(e.jobId);
      columns.endpointIds.push(e.endpointId);
      columns.leaseIds.push(e.leaseId);
      columns.models.push(e.model);
      columns.resources.push(e.resource ?? EVENT_RESOURCE);
      columns.reasons.push(reason);
    }
    for (const name of SELDOM) if (columns[name].every((value) => value === null)) columns[name] = [];
    const at = await tx.now();
    return (await tx.call(usageIngest, { organizationId, at, ...columns })).outcomes;
  }

  /** Looks the named jobs and leases up, where there are any, and gives the rule that says whose an event is. */
  private async ownersOf(tx: Tx, organizationId: string, events: readonly UsageEvent[]) {
    const jobIds = new Set<string>();
    const leaseIds = new Set<string>();
    for (const e of events) {
      if (e.jobId !== null) jobIds.add(e.jobId);
      if (e.leaseId !== null) leaseIds.add(e.leaseId);
    }
    const known =
      jobIds.size + leaseIds.size === 0
        ? NONE
        : await this.projectsOf(tx, organizationId, { jobIds: [...jobIds], leaseIds: [...leaseIds] });
    return (e: UsageEvent) => ownerOf(e, known);
  }
}

/** What stands for the resource where an event names none. */
export const EVENT_RESOURCE = 'external';

const NONE = { jobs: new Map<string, string>(), leases: new Map<string, string>() };

/** Whose an event is, as far as jobs and leases say it; whether the project exists is for the database to say. */
export function ownerOf(
  e: Pick<UsageEvent, 'projectId' | 'jobId' | 'leaseId'>,
  known: Awaited<ReturnType<SubjectProjects>>,
): { readonly projectId: string | null; readonly reason: UnattributedReason | null } {
  const ofJob = e.jobId === null ? null : known.jobs.get(e.jobId);
  const ofLease = e.leaseId === null ? null : known.leases.get(e.leaseId);
  const projectId = e.projectId ?? ofJob ?? ofLease ?? null;
  if (ofJob === undefined) return { projectId, reason: 'unknown-job' };
  if (ofLease === undefined) return { projectId, reason: 'unknown-lease' };
  if (projectId === null) return { projectId, reason: 'no-project' };
  const differ = (ofJob !== null && ofJob !== projectId) || (ofLease !== null && ofLease !== projectId);
  return { projectId, reason: differ ? 'projects-differ' : null };
}

/**
 * Ids for one batch: one random one, of which the last two characters count. Beside each other in the index, and 70 random bits
 * apart from any other batch.
 */
function idsOf(nowMs: number, random: Random): (n: number) => string {
  const stem = newId('usage', nowMs, random).slice(0, -2);
  return (n) => `${stem}${DIGITS.charAt(n >> 5)}${DIGITS.charAt(n & 31)}`;
}
/** Crockford base 32, as in all ids. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';

/** Columns that are often of nulls only; such a one travels as an empty array, which PostgreSQL fills up with nulls. */
const SELDOM = ['jobIds', 'endpointIds', 'leaseIds', 'models', 'reasons'] as const;

function emptyColumns(): IngestColumns {
  return {
    ids: [],
    sources: [],
    eventIds: [],
    hashes: [],
    times: [],
    meters: [],
    units: [],
    quantities: [],
    projectIds: [],
    jobIds: [],
    endpointIds: [],
    leaseIds: [],
    models: [],
    resources: [],
    reasons: [],
  };
}
