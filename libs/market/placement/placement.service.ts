import { setImmediate } from 'node:timers/promises';
import { newId, notFound, type Clock, type Random } from '#kernel';
import type { Offer, PlacementView, Workload } from '#contracts';
import { within, WORKER, type Actor, type Store, type Tx } from '#platform/database';
import { Catalog } from '#market/catalog';
import { blockedScopes, learntPriors, type ReliabilityPriors } from '#market/reliability';
import { learntSpeeds } from '#market/speeds';
import { learntHardwareSpeeds, type Speeds } from './cost/speeds.js';
import { placementContext, type CoolingDown, type PlacementContext } from './context.js';
import type { OfferIndex } from './columns/catalog-index.js';
import { LiveIndex } from './columns/live-index.js';
import { chooseByDeadline, type DeadlineChoice, type Fallback } from './plan/deadline.js';
import { planDefaults, planTries } from './plan/plan.js';
import { mergeRankings } from './columns/merge.js';
import { rankInSlices, rankList, rankOffers, SLICE } from './columns/rank.js';
import type { RankedOffer, Ranking } from './columns/ranking.js';
import { placements, type PlacementRow } from './placement.table.js';
import { replayOf } from './explain/replay.js';
import { rankingView } from './explain/view.js';

export interface PlacementTimes {
  /** For how long the rentable offers are used before it is asked what changed. */
  readonly rentableTtlMs: number;
  readonly marketTtlMs: number;
}

/** What came of placing a job. */
export interface Placed {
  readonly placementId: string;
  /** Null when nothing that can be rented now fits; `why` says why. */
  readonly best: Offer | null;
  readonly why: string;
  /** Where the work must go at the latest when `best` may be taken away; only with a deadline. */
  readonly fallback: Fallback | null;
  /** There is a deadline, and nothing is likely to be done by it. */
  readonly isLate: boolean;
}

/** Candidates that a job's stored decision keeps; a preview keeps as many as asked. */
const KEPT = 5;
/** Beliefs change with outcomes of leases, over hours: a minute old is fresh. */
const LEARNT_TTL_MS = 60_000;

/** Decides where work goes, and keeps each decision with its reasons. */
export class Placements {
  private readonly rentable: LiveIndex;
  private readonly market: LiveIndex;
  /** Large rankings run one after the other: side by side each would only be slower. */
  private turn: Promise<unknown> = Promise.resolve();
  private learnt: { readonly priors: ReliabilityPriors; readonly speeds: Speeds; readonly readAtMs: number } | null =
    null;

  constructor(
    private readonly store: Store,
    catalog: Catalog,
    private readonly clock: Clock,
    private readonly random: Random,
    times: PlacementTimes,
  ) {
    this.rentable = new LiveIndex(catalog, 'rentable', times.rentableTtlMs);
    this.market = new LiveIndex(catalog, null, times.marketTtlMs);
  }

  /** Ranks without renting anything; stored, so that the answer can be looked at again. */
  async preview(
    actor: Actor,
    of: { organizationId: string; projectId: string; workload: Workload; scope: 'market' | 'rentable'; limit: number },
  ): Promise<PlacementView> {
    const live = of.scope === 'rentable' ? this.rentable : this.market;
    const { index, context } = await this.store.transaction(WORKER, async (tx) => ({
      index: await live.upToDate(tx, this.clock.now()),
      // The runner-up is kept for the explanation, even where one candidate is asked for.
      context: await this.contextOf(tx, { ...of, limit: Math.max(2, of.limit), avoidOffers: [] }),
    }));
    const ranking = await this.rankInTurn(live, index, of.workload, context);
    const row = this.row(of, null, ranking, of.limit);
    await this.store.transaction(actor, (tx) => tx.insert(placements, row));
    return placementView(row);
  }

  async get(actor: Actor, id: string): Promise<PlacementView> {
    return placementView(await this.rowOf(actor, id));
  }

  private async rowOf(actor: Actor, id: string): Promise<PlacementRow> {
    const row = await this.store.transaction(actor, (tx) => tx.first(placements, { id, ...within(actor) }));
    if (!row) throw notFound('placement', id);
    return row;
  }

  /** Takes a decision again with today's catalog, or another policy; stored as a decision of its own that names the first. */
  async replay(
    actor: Actor,
    id: string,
    other: {
      objective?: Workload['objective'] | undefined;
      scope?: 'market' | 'rentable' | undefined;
      constraints?: Workload['constraints'] | undefined;
      without?: readonly (keyof Workload['constraints'])[] | undefined;
      limit: number;
    },
  ): Promise<PlacementView> {
    const of = await this.rowOf(actor, id);
    const then = placementView(of);
    const constraints = Object.fromEntries(
      Object.entries({ ...then.workload.constraints, ...other.constraints }).filter(
        ([key]) => !other.without?.includes(key as keyof Workload['constraints']),
      ),
    );
    const workload = { ...then.workload, objective: other.objective ?? then.workload.objective, constraints };
    const scope = other.scope ?? then.scope;
    const live = scope === 'rentable' ? this.rentable : this.market;
    const limit = Math.max(2, other.limit);
    const { index, context } = await this.store.transaction(WORKER, async (tx) => ({
      index: await live.upToDate(tx, this.clock.now()),
      context: await this.contextOf(tx, { projectId: of.projectId, scope, limit, avoidOffers: [] }),
    }));
    const now = await this.rankInTurn(live, index, workload, context);
    const [first] = then.candidates;
    const row = this.row(of, null, now, other.limit);
    const replay = replayOf({ then, now, winnerToday: first ? index.find(first.offer.id) : null });
    const linked = { ...row, decision: { ...row.decision, replay } };
    await this.store.transaction(actor, (tx) => tx.insert(placements, linked));
    return placementView(linked);
  }

  /** The decision for a job, stored; `best` is null when nothing that can be rented now fits. */
  async place(
    tx: Tx,
    request: {
      organizationId: string;
      projectId: string;
      jobId: string;
      workload: Workload;
      avoidOffers: readonly string[];
      warm: readonly Offer[];
      /** Seconds of work that are lost with a machine; matters to work with a deadline. */
      atRiskS?: number;
    },
  ): Promise<Placed> {
    const context = await this.contextOf(tx, { ...request, scope: 'rentable', limit: KEPT });
    const index = await this.rentable.upToDate(tx, this.clock.now());
    const rank = (workload: Workload): Promise<Ranking> => {
      const all = rankOffers(index, workload, context);
      const { warm } = request;
      return Promise.resolve(warm.length === 0 ? all : mergeRankings(all, rankList(warm, workload, context), KEPT));
    };
    const tried = request.avoidOffers.flatMap((id) => index.find(id) ?? []);
    const firstOf = ({ ranked }: Ranking): RankedOffer | undefined => planTries(ranked, planDefaults, tried)[0];
    const { ranking, fallback, isLate } = await choose(rank, request, firstOf);
    const row = this.row(request, request.jobId, ranking, KEPT, tried);
    await tx.insert(placements, row);
    return {
      placementId: row.id,
      best: firstOf(ranking)?.offer ?? null,
      fallback,
      isLate,
      why: ranking.ranked.length > 0 ? '' : whyNothing(ranking),
    };
  }

  /** What the work is expected to cost on the best offer that can be rented now; nothing is stored. */
  async quote(request: {
    projectId: string;
    workload: Workload;
    atRiskS?: number;
  }): Promise<
    | { offer: Offer; expectedNano: bigint; expectedS: number; fallback: Fallback | null }
    | { why: string; hints: readonly string[] }
  > {
    // A quote is not put off by what cools down for a moment: the job itself will wait or go elsewhere.
    const nowMs = this.clock.now();
    const known = this.rentable.fresh(nowMs);
    const learnt = this.learntFresh(nowMs);
    const { index, priors, speeds } =
      known && learnt
        ? { index: known, ...learnt }
        : await this.store.transaction(WORKER, async (tx) => ({
            index: await this.rentable.upToDate(tx, nowMs),
            ...(await this.learntBy(tx)),
          }));
    const { projectId } = request;
    const context = placementContext({
      scope: 'rentable',
      nowMs,
      projectId,
      reliability: priors,
      speeds,
      limit: KEPT,
    });
    const rank = (workload: Workload): Promise<Ranking> => this.rankInTurn(this.rentable, index, workload, context);
    const { ranking, fallback } = await choose(rank, request, ({ ranked }) => ranked[0]);
    const best = ranking.ranked[0];
    if (!best) return { why: whyNothing(ranking), hints: ranking.hints };
    return { offer: best.offer, expectedNano: best.cost.total, expectedS: best.time.expectedS, fallback };
  }

  /** Reads the offers as they are now; they do not change while `read` runs, however often it pauses. */
  async look<T>(scope: 'market' | 'rentable', read: (index: OfferIndex) => Promise<T>): Promise<T> {
    const live = scope === 'rentable' ? this.rentable : this.market;
    const nowMs = this.clock.now();
    const index = live.fresh(nowMs) ?? (await this.store.transaction(WORKER, (tx) => live.upToDate(tx, nowMs)));
    return live.unchanged(() => read(index));
  }

  /** The catalog changed in a way that must be seen at once (a host came or went). */
  forget(): void {
    this.rentable.forget();
    this.market.forget();
  }

  /** What a decision rests on besides offers and workload, as of now. */
  private async contextOf(
    tx: Tx,
    of: { projectId: string; scope: 'market' | 'rentable'; avoidOffers: readonly string[]; limit: number },
  ): Promise<PlacementContext> {
    const coolingDown: CoolingDown[] = await blockedScopes(tx);
    for (const offerId of of.avoidOffers)
      coolingDown.push({ scope: { kind: 'offer', offerId }, untilMs: Number.MAX_SAFE_INTEGER });
    const { priors: reliability, speeds } = await this.learntBy(tx);
    const { scope, projectId, limit } = of;
    const nowMs = this.clock.now();
    return placementContext({ scope, nowMs, projectId, coolingDown, reliability, speeds, limit, nearMisses: true });
  }

  /** A ranking that lets others work between its slices; no transaction may be open meanwhile. */
  private rankInTurn(
    live: LiveIndex,
    index: OfferIndex,
    workload: Workload,
    context: PlacementContext,
  ): Promise<Ranking> {
    if (index.size <= SLICE) return Promise.resolve(rankOffers(index, workload, context));
    const mine = this.turn.then(() =>
      live.unchanged(() => rankInSlices(index, workload, context, () => setImmediate())),
    );
    this.turn = mine.catch(() => undefined);
    return mine;
  }

  private learntFresh(nowMs: number): { readonly priors: ReliabilityPriors; readonly speeds: Speeds } | null {
    return this.learnt && nowMs - this.learnt.readAtMs < LEARNT_TTL_MS ? this.learnt : null;
  }

  /** What every tenant's leases and shards have taught, as of a moment ago: the same objects meanwhile, so that terms are shared. */
  private async learntBy(tx: Tx): Promise<{ readonly priors: ReliabilityPriors; readonly speeds: Speeds }> {
    const known = this.learntFresh(this.clock.now());
    if (known) return known;
    const priors = await learntPriors(tx);
    const speeds = learntHardwareSpeeds(await learntSpeeds(tx));
    this.learnt = { priors, speeds, readAtMs: this.clock.now() };
    return this.learnt;
  }

  private row(
    of: { organizationId: string; projectId: string },
    jobId: string | null,
    ranking: Ranking,
    kept: number,
    tried: readonly Offer[] = [],
  ): PlacementRow {
    const createdAt = this.clock.now();
    return {
      id: newId('placement', createdAt, this.random),
      organizationId: of.organizationId,
      projectId: of.projectId,
      jobId,
      decision: rankingView(ranking, kept, tried),
      createdAt,
    };
  }
}

async function choose(
  rank: (workload: Workload) => Promise<Ranking>,
  { workload, atRiskS = Infinity }: { workload: Workload; atRiskS?: number },
  firstOf: (ranking: Ranking) => RankedOffer | undefined,
): Promise<DeadlineChoice> {
  if (workload.constraints.deadlineS !== undefined) return chooseByDeadline(rank, workload, atRiskS, firstOf);
  return { ranking: await rank(workload), fallback: null, isLate: false };
}

function whyNothing(ranking: Ranking): string {
  const counts = Object.entries(ranking.rejections)
    .sort(([, x], [, y]) => y - x)
    .map(([dimension, n]) => `${n} by ${dimension}`);
  return counts.length === 0
    ? 'no offers that can be rented'
    : [
        `${ranking.considered} offers looked at, none fits (${counts.join(', ')})`,
        ...ranking.contradictions.slice(0, 1),
      ]
        .join('; ')
        .replace(/\.$/, '');
}

function placementView(row: PlacementRow): PlacementView {
  return { id: row.id as PlacementView['id'], createdAt: new Date(row.createdAt).toISOString(), ...row.decision };
}
