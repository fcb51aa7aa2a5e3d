import { newId, notFound, type Clock, type Random } from '#kernel';
import type { Offer, PlacementView, Workload } from '#contracts';
import { within, WORKER, type Actor, type Store, type Tx } from '#platform/database';
import { Catalog } from '#market/catalog';
import { blockedScopes, learntPriors, type ReliabilityPriors } from '#market/reliability';
import { buildOfferIndex, type OfferIndex } from './columns/catalog-index.js';
import { placementContext, type CoolingDown } from './context.js';
import { planTries } from './plan/plan.js';
import { rankList, rankOffers, type Ranking } from './columns/rank.js';
import { placements, type PlacementRow } from './placement.table.js';
import { rankingView } from './explain/view.js';

export interface PlacementTimes {
  /** For how long an index of the rentable offers is used before it is read anew. */
  readonly rentableTtlMs: number;
  readonly marketTtlMs: number;
}

interface Cached {
  readonly index: OfferIndex;
  readonly readAtMs: number;
}

/** Candidates that a job's stored decision keeps; a preview keeps as many as asked. */
const KEPT = 5;
/** Beliefs change with outcomes of leases, over hours: a minute old is fresh. */
const LEARNT_TTL_MS = 60_000;

/** Decides where work goes, and keeps each decision with its reasons. */
export class Placements {
  private readonly cached = new Map<'market' | 'rentable', Cached>();
  private learnt: { readonly priors: ReliabilityPriors; readonly readAtMs: number } | null = null;

  constructor(
    private readonly store: Store,
    private readonly catalog: Catalog,
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly times: PlacementTimes,
  ) {}

  /** Ranks without renting anything; stored, so that the answer can be looked at again. */
  async preview(
    actor: Actor,
    of: { organizationId: string; projectId: string; workload: Workload; scope: 'market' | 'rentable'; limit: number },
  ): Promise<PlacementView> {
    const ranking = await this.store.transaction(WORKER, async (tx) =>
      this.rank(tx, { ...of, warm: [], avoidOffers: [] }),
    );
    const row = this.row(of, null, ranking);
    await this.store.transaction(actor, (tx) => tx.insert(placements, row));
    return placementView(row);
  }

  async get(actor: Actor, id: string): Promise<PlacementView> {
    const row = await this.store.transaction(actor, (tx) => tx.first(placements, { id, ...within(actor) }));
    if (!row) throw notFound('placement', id);
    return placementView(row);
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
    },
  ): Promise<{ placementId: string; best: Offer | null; why: string }> {
    const ranking = await this.rank(tx, { ...request, scope: 'rentable', limit: KEPT });
    const row = this.row(request, request.jobId, ranking);
    await tx.insert(placements, row);
    return {
      placementId: row.id,
      best: planTries(ranking.ranked)[0]?.offer ?? null,
      why: ranking.ranked.length > 0 ? '' : whyNothing(ranking),
    };
  }

  /** What the work is expected to cost on the best offer that can be rented now; nothing is stored. */
  async quote(request: {
    projectId: string;
    workload: Workload;
  }): Promise<{ offer: Offer; expectedNano: bigint; expectedS: number } | { why: string; hints: readonly string[] }> {
    // A quote is not put off by what cools down for a moment: the job itself will wait or go elsewhere.
    const index = this.fresh('rentable') ?? (await this.store.transaction(WORKER, (tx) => this.index(tx, 'rentable')));
    const ranking = rankOffers(
      index,
      request.workload,
      placementContext({ scope: 'rentable', nowMs: this.clock.now(), projectId: request.projectId, limit: KEPT }),
    );
    const best = ranking.ranked[0];
    if (!best) return { why: whyNothing(ranking), hints: ranking.hints };
    return { offer: best.offer, expectedNano: best.cost.total, expectedS: best.time.expectedS };
  }

  /** The catalog changed in a way that must be seen at once (a host came or went). */
  forget(): void {
    this.cached.clear();
  }

  private async rank(
    tx: Tx,
    of: {
      projectId: string;
      workload: Workload;
      scope: 'market' | 'rentable';
      warm: readonly Offer[];
      avoidOffers: readonly string[];
      limit: number;
    },
  ): Promise<Ranking> {
    const nowMs = this.clock.now();
    const coolingDown: CoolingDown[] = await blockedScopes(tx);
    for (const offerId of of.avoidOffers)
      coolingDown.push({ scope: { kind: 'offer', offerId }, untilMs: Number.MAX_SAFE_INTEGER });
    const reliability = await this.reliability(tx);
    const { scope, projectId, limit } = of;
    const context = placementContext({ scope, nowMs, projectId, coolingDown, reliability, limit });
    const ranking = rankOffers(await this.index(tx, of.scope), of.workload, context);
    return of.warm.length === 0 ? ranking : merge(ranking, rankList(of.warm, of.workload, context), of.limit);
  }

  /** The index that was read a moment ago, if it may still be used. */
  private fresh(scope: 'market' | 'rentable'): OfferIndex | null {
    const ttlMs = scope === 'rentable' ? this.times.rentableTtlMs : this.times.marketTtlMs;
    const known = this.cached.get(scope);
    return known && this.clock.now() - known.readAtMs < ttlMs ? known.index : null;
  }

  /** What every tenant's leases have taught, as of a moment ago: the same object meanwhile, so that terms are shared. */
  private async reliability(tx: Tx): Promise<ReliabilityPriors> {
    const known = this.learnt;
    if (known && this.clock.now() - known.readAtMs < LEARNT_TTL_MS) return known.priors;
    const priors = await learntPriors(tx);
    this.learnt = { priors, readAtMs: this.clock.now() };
    return priors;
  }

  private async index(tx: Tx, scope: 'market' | 'rentable'): Promise<OfferIndex> {
    const known = this.fresh(scope);
    if (known) return known;
    const rentable = await this.catalog.ofStatus(tx, 'rentable');
    const index = buildOfferIndex(
      scope === 'rentable' ? rentable : [...rentable, ...(await this.catalog.ofStatus(tx, 'listed'))],
    );
    this.cached.set(scope, { index, readAtMs: this.clock.now() });
    return index;
  }

  private row(of: { organizationId: string; projectId: string }, jobId: string | null, ranking: Ranking): PlacementRow {
    const createdAt = this.clock.now();
    return {
      id: newId('placement', createdAt, this.random),
      organizationId: of.organizationId,
      projectId: of.projectId,
      jobId,
      decision: rankingView(ranking),
      createdAt,
    };
  }
}

function merge(a: Ranking, b: Ranking, limit: number): Ranking {
  const rejections = { ...a.rejections };
  for (const [dimension, n] of Object.entries(b.rejections)) {
    const key = dimension as keyof typeof rejections;
    rejections[key] = (rejections[key] ?? 0) + n;
  }
  const ranked = [...a.ranked, ...b.ranked]
    .sort((x, y) =>
      x.cost.total === y.cost.total ? (x.offer.id < y.offer.id ? -1 : 1) : x.cost.total < y.cost.total ? -1 : 1,
    )
    .slice(0, limit);
  return {
    ...a,
    considered: a.considered + b.considered,
    fitting: a.fitting + b.fitting,
    ranked,
    rejections,
    hints: ranked.length > 0 ? [] : a.hints,
  };
}

function whyNothing(ranking: Ranking): string {
  const counts = Object.entries(ranking.rejections)
    .sort(([, x], [, y]) => y - x)
    .map(([dimension, n]) => `${n} by ${dimension}`);
  return counts.length === 0
    ? 'no offers that can be rented'
    : `${ranking.considered} offers looked at, none fits (${counts.join(', ')})`;
}

function placementView(row: PlacementRow): PlacementView {
  return { id: row.id as PlacementView['id'], createdAt: new Date(row.createdAt).toISOString(), ...row.decision };
}
