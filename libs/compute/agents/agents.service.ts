import { DomainError, HOUR, MINUTE, newId, type Clock, type Random } from '#kernel';
import type { HostFacts, LogLine, SyncRequest, SyncResponse, WorkItem, WorkReport } from '#contracts';
import { WORKER, type Store, type Tx } from '#platform/database';
import { agents, type AgentRow } from './agents.table.js';

/** Makes and checks the secrets agents carry; `platform/secrets` behind a port, so that the simulator needs no cryptography. */
export interface AgentSecrets {
  /** A new secret for enrolment or for the credential. */
  issue(kind: 'enrol' | 'host'): string;
  hash(secret: string): string;
}

/** What a source has read for one agent in one transaction, so that it need not read it twice; only the source knows what is in it. */
export interface Sight {
  readonly tx: Tx;
  readonly agent: AgentRow;
}

/** Where work comes from and results go; implemented a floor above and bound by the app. */
export interface WorkSource {
  /** Begins an exchange with an agent; everything that follows in it is done with this. */
  look(tx: Tx, agent: AgentRow): Sight;
  /** Takes reports and logs in; answers which reports the agent may forget. */
  report(
    sight: Sight,
    reports: readonly WorkReport[],
    logs: readonly LogLine[],
  ): Promise<{ workId: string; fence: number }[]>;
  /**
   * The whole desired work of the agent: what is assigned, and more as far as `capacity` goes. Work in `known` the agent holds
   * already; assigned work that it does not know of (an answer was lost) takes up capacity, so that nothing piles up.
   */
  desired(sight: Sight, capacity: number, known: ReadonlySet<string>): Promise<WorkItem[]>;
}

/** Wakes waiting polls across processes; losing one costs a poll interval, never work. */
export interface AgentBell {
  /** Answers 'stop' when the poll is to be answered now with what there is, because this process goes away. */
  wait(agentId: string, timeoutMs: number): Promise<'look' | 'stop'>;
  /** Where rings are remembered between two polls: whether one came since `watch`. Without it every poll begins with a look. */
  readonly memory?: { watch(agentId: string): void; rang(agentId: string): boolean };
}

/** An agent that had nothing to do and nothing to say when it was last looked at here. */
interface Resting {
  readonly seq: number;
  readonly capacity: number;
  /** When its row last heard of it. */
  readonly seenAtMs: number;
}

const NOTHING_NEW: SyncResponse = { work: [], acknowledged: [], goodbye: false };

/** Someone above wants to know that an agent enrolled (its lease or host is waiting for it). */
export type OnEnrolled = (tx: Tx, agent: AgentRow) => Promise<void>;

export const LEASE_TOKEN_TTL_MS = 15 * MINUTE;
export const HOST_TOKEN_TTL_MS = 24 * HOUR;

/**
 * Who a credential belongs to is remembered this long. Whatever an agent then does is checked against its row or its lease again, so that
 * a retired one gets no work and gives no results in this time.
 */
const KNOWN_FOR_MS = 2_000;
/** Agents of one process that are remembered at most. */
const KNOWN_AT_MOST = 50_000;

/** Telemetry and the time last seen are written at most this often, unless something else changes. */
const SEEN_EVERY_MS = 5_000;

export class Agents {
  private readonly known = new Map<string, { agent: AgentRow; untilMs: number }>();
  private readonly resting = new Map<string, Resting>();

  constructor(
    private readonly store: Store,
    private readonly secrets: AgentSecrets,
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** A one-time invitation for one machine; the token is shown to nobody else and kept only as a hash. */
  async invite(
    tx: Tx,
    of: { organizationId: string; hostId: string } | { organizationId: string; leaseId: string },
  ): Promise<{ agent: AgentRow; token: string }> {
    const token = this.secrets.issue('enrol');
    const host = 'hostId' in of;
    const now = this.clock.now();
    const agent: AgentRow = {
      id: newId('agent', now, this.random),
      kind: host ? 'host' : 'lease',
      organizationId: of.organizationId,
      hostId: host ? of.hostId : null,
      leaseId: host ? null : of.leaseId,
      state: 'invited',
      tokenHash: this.secrets.hash(token),
      tokenExpiresAt: now + (host ? HOST_TOKEN_TTL_MS : LEASE_TOKEN_TTL_MS),
      credentialHash: null,
      lastSeq: -1,
      lastSeenAt: null,
      facts: null,
      telemetry: null,
      createdAt: now,
    };
    await tx.insert(agents, agent);
    return { agent, token };
  }

  get(tx: Tx, id: string): Promise<AgentRow | null> {
    return tx.first(agents, { id });
  }

  /** Trades a token for a credential. Of two enrolments with one token exactly one wins; the other is refused. */
  async enrol(
    token: string,
    facts: HostFacts,
    onEnrolled: OnEnrolled,
  ): Promise<{ agentId: string; credential: string }> {
    const refused = new DomainError(
      'unauthenticated',
      'enrolment-refused',
      'This enrolment token is unknown, expired or was used before.',
      {
        fix: 'Ask the broker for a new token (berth hosts add) and start the agent with it.',
      },
    );
    const credential = this.secrets.issue('host');
    return this.store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      const [agent] = await tx.update(
        agents,
        { tokenHash: this.secrets.hash(token), state: 'invited', tokenExpiresAt: { gt: now } },
        { state: 'enrolled', tokenHash: null, credentialHash: this.secrets.hash(credential), facts, lastSeenAt: now },
      );
      if (!agent) throw refused;
      await onEnrolled(tx, agent);
      return { agentId: agent.id, credential };
    });
  }

  /** The agent behind a credential, or null: dead credentials look like wrong ones. */
  async authenticate(credential: string): Promise<AgentRow | null> {
    const credentialHash = this.secrets.hash(credential);
    const now = this.clock.now();
    const known = this.known.get(credentialHash);
    if (known && now < known.untilMs) return known.agent;
    const agent = await this.store.transaction(WORKER, (tx) => tx.first(agents, { credentialHash, state: 'enrolled' }));
    if (this.known.size >= KNOWN_AT_MOST) this.known.clear();
    if (agent) this.known.set(credentialHash, { agent, untilMs: now + KNOWN_FOR_MS });
    else this.known.delete(credentialHash);
    return agent;
  }

  /** Ends the authority of every agent of a host, invited ones included; `except` keeps one. */
  async retireOfHost(tx: Tx, hostId: string, except?: string): Promise<void> {
    await tx.update(
      agents,
      { hostId, state: { not: 'gone' }, ...(except === undefined ? {} : { id: { not: except } }) },
      { state: 'gone', credentialHash: null, tokenHash: null },
    );
  }

  /** Ends an agent's authority at once (its lease ended, its host was removed). */
  async retire(tx: Tx, id: string): Promise<void> {
    await tx.update(agents, { id, state: { not: 'gone' } }, { state: 'gone', credentialHash: null, tokenHash: null });
  }

  /**
   * One long poll: takes the reports in, answers the whole desired work. Waits up to `waitMs` when nothing changed.
   * A sequence at or below the last one seen is refused: two machines share one credential.
   */
  async sync(agent: AgentRow, request: SyncRequest, work: WorkSource, bell: AgentBell): Promise<SyncResponse> {
    const began = this.clock.now();
    const until = began + request.waitMs;
    let answer = this.restsOn(agent, request, bell)
      ? NOTHING_NEW
      : await this.lookAt(agent, request, work, bell, began);
    while (unchanged(answer, request)) {
      const leftMs = until - this.clock.now();
      if (leftMs <= 0) break;
      if ((await bell.wait(agent.id, leftMs)) === 'stop') break;
      answer = await this.lookAt(agent, { ...request, reports: [], logs: [] }, work, bell, null);
    }
    return answer;
  }

  /**
   * Whether this poll would find what the last one found: the agent was idle then, nobody rang for it since, and it has nothing to say.
   * The common case: after a report was answered, its agent comes back to wait.
   */
  private restsOn(agent: AgentRow, request: SyncRequest, bell: AgentBell): boolean {
    const before = this.resting.get(agent.id);
    if (!before || !bell.memory || bell.memory.rang(agent.id)) return false;
    const silent =
      request.reports.length + request.logs.length + request.knownWork.length === 0 &&
      !request.draining &&
      !request.facts;
    return (
      silent &&
      request.seq > before.seq &&
      request.capacity <= before.capacity &&
      this.clock.now() - before.seenAtMs < SEEN_EVERY_MS
    );
  }

  /** One exchange, and what is to be remembered of it; `beganMs` where it is the first of its poll. */
  private async lookAt(
    agent: AgentRow,
    request: SyncRequest,
    work: WorkSource,
    bell: AgentBell,
    beganMs: number | null,
  ): Promise<SyncResponse> {
    const seenAtMs = beganMs ?? this.resting.get(agent.id)?.seenAtMs;
    this.resting.delete(agent.id);
    bell.memory?.watch(agent.id);
    const answer = await this.exchange(agent, request, work, beganMs !== null);
    if (this.resting.size >= KNOWN_AT_MOST) this.resting.clear();
    if (bell.memory && seenAtMs !== undefined && answer.work.length === 0 && !answer.goodbye)
      this.resting.set(agent.id, { seq: request.seq, capacity: request.draining ? 0 : request.capacity, seenAtMs });
    return answer;
  }

  private exchange(agent: AgentRow, request: SyncRequest, work: WorkSource, first: boolean): Promise<SyncResponse> {
    return this.store.transaction(WORKER, async (tx) => {
      const row = first ? await this.checkIn(tx, agent, request) : await tx.first(agents, { id: agent.id });
      if (!row || row.state !== 'enrolled')
        return {
          work: [],
          acknowledged: request.reports.map(({ workId, fence }) => ({ workId, fence })),
          goodbye: true,
        };
      const sight = work.look(tx, row);
      const acknowledged =
        request.reports.length + request.logs.length > 0 ? await work.report(sight, request.reports, request.logs) : [];
      const known = new Set(request.knownWork.map((w) => w.workId));
      const items = await work.desired(sight, request.draining ? 0 : request.capacity, known);
      return { work: items, acknowledged, goodbye: false };
    });
  }

  /** Takes the sequence number in, and what the agent says of itself; answers the agent as it stands. */
  private async checkIn(tx: Tx, agent: AgentRow, request: SyncRequest): Promise<AgentRow | null> {
    const [moved] = await tx.update(
      agents,
      { id: agent.id, state: 'enrolled', lastSeq: { lt: request.seq } },
      { lastSeq: request.seq, ...(request.facts ? { facts: request.facts } : {}) },
    );
    if (!moved) {
      const row = await tx.first(agents, { id: agent.id });
      if (row?.state !== 'enrolled') return row;
      throw new DomainError(
        'conflict',
        'stale-sequence',
        `Sequence ${request.seq} was seen before (last ${row.lastSeq}): another agent uses this credential.`,
        {
          fix: 'Stop one of the two agents; a copied disk image must enrol anew.',
        },
      );
    }
    const now = await tx.now();
    if (moved.lastSeenAt === null || now - moved.lastSeenAt >= SEEN_EVERY_MS)
      await tx.update(
        agents,
        { id: agent.id },
        { lastSeenAt: now, ...(request.telemetry ? { telemetry: request.telemetry } : {}) },
      );
    return moved;
  }
}

function unchanged(answer: SyncResponse, request: SyncRequest): boolean {
  if (answer.goodbye || request.draining || answer.acknowledged.length > 0) return false;
  if (answer.work.length !== request.knownWork.length) return false;
  const known = new Set(request.knownWork.map((w) => `${w.workId}:${w.fence}:${w.checkpoint ?? false}`));
  return answer.work.every((w) => known.has(`${w.workId}:${w.fence}:${w.checkpointBy !== undefined}`));
}
