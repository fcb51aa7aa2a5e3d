import { setImmediate } from 'node:timers/promises';
import { newId, notFound, type Clock, type Random } from '#kernel';
import type { Offer, PlacementView, RejectionDimension, Workload } from '#contracts';
import type { MeasuredMachines } from '#hardware';
import { within, WORKER, type Actor, type Store, type Tx } from '#platform/database';
import { Catalog } from '#market/catalog';
import { blockedScopes, learntPriors, type ReliabilityPriors } from '#market/reliability';
import { reservedNow } from '#market/reservations';
import { learntSpeeds } from '#market/speeds';
import { learntHardwareSpeeds, type Speeds } from './cost/speeds.js';
import { placementContext, type CoolingDown, type OwnedMachines, type PlacementContext } from './context.js';
import type { OfferIndex } from './columns/catalog-index.js';
import { LiveIndex } from './columns/live-index.js';
import { chooseByDeadline, type DeadlineChoice, type Fallback } from './plan/deadline.js';
import { chooseOwned, forTenant, type Reserved } from './plan/owned.js';
import { isPeer } from './plan/peers.js';
import { planDefaults, planTries } from './plan/plan.js';
import { mergeRankings } from './columns/merge.js';
import { ownedIn } from './columns/owned.js';
import { rankInSlices, rankList, rankOffers, SLICE } from './columns/rank.js';
import type { RankedOffer, Ranking } from './columns/ranking.js';
import { demandOf } from './fit/demand.js';
import { dimensionsIn, offerFailures } from './fit/filter.js';
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
  /** `best` is a machine that is reserved and paid for: by which reservations, and what its price is made from. */
  readonly reserved: Reserved | null;
}

/** Candidates that a job's stored decision keeps; a preview keeps as many as asked. */
const KEPT = 5;
/** Candidates among which the host to fill is looked for. */
const PEERS = 64;
/** Beliefs change with outcomes of leases, over hours: a minute old is fresh. */
const LEARNT_TTL_MS = 60_000;

/** What every tenant's leases and shards have taught. */
interface Learnt {
  readonly priors: ReliabilityPriors;
  readonly speeds: Speeds;
  readonly measured: MeasuredMachines;
}

/** Which of the same offers of several registered hosts to take, so that blocks of their GPUs stay whole; null: none has room. */
export type HostsToFill = (tx: Tx, peers: readonly Offer[]) => Promise<Offer | null>;

/** Decides where work goes, and keeps each decision with its reasons. */
export class Placements {
  private readonly rentable: LiveIndex;
  private readonly market: LiveIndex;
  /** Large rankings run one after the other: side by side each would only be slower. */
  private turn: Promise<unknown> = Promise.resolve();
  private learnt: (Learnt & { readonly readAtMs: number }) | null = null;

  constructor(
    private readonly store: Store,
    catalog: Catalog,
    private readonly clock: Clock,
    private readonly random: Random,
    times: PlacementTimes,
    private readonly toFill: HostsToFill = () => Promise.resolve(null),
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
    const index = await this.rentable.upToDate(tx, this.clock.now());
    const known = await this.contextOf(tx, { ...request, scope: 'rentable', limit: PEERS });
    // Previews and quotes go by prices: whoever asks is charged by them. What is paid for already matters to who rents.
    const context = { ...known, owned: ownedIn(index, await reservedNow(tx)) };
    const tried = request.avoidOffers.flatMap((id) => index.find(id) ?? []);
    const firstOf = ({ ranked }: Ranking): RankedOffer | undefined => planTries(ranked, planDefaults, tried)[0];
    const peersOf = new WeakMap<Ranking, readonly RankedOffer[]>();
    const decide = (owned: readonly OwnedMachines[]): Promise<DeadlineChoice> => {
      const knowing = { ...context, owned };
      const rank = (workload: Workload): Promise<Ranking> => {
        const wide = rankOffers(index, workload, knowing);
        const { warm } = request;
        const all = { ...wide, ranked: wide.ranked.slice(0, KEPT) };
        const kept = warm.length === 0 ? all : mergeRankings(all, rankList(warm, workload, knowing), KEPT);
        peersOf.set(kept, wide.ranked);
        return Promise.resolve(kept);
      };
      return choose(rank, request, firstOf);
    };
    const { choice, reserved } = await chooseOwned(decide, context, firstOf);
    const { fallback, isLate } = choice;
    const first = firstOf(choice.ranking);
    const { ranking, best } = await this.settled(
      tx,
      choice.ranking,
      first,
      reserved,
      peersOf.get(choice.ranking) ?? [],
    );
    const row = this.row(request, request.jobId, ranking, KEPT, tried);
    await tx.insert(placements, row);
    return {
      placementId: row.id,
      best: best?.offer ?? null,
      fallback,
      isLate,
      reserved,
      why: ranking.ranked.length > 0 ? '' : whyNothing(ranking),
    };
  }

  /**
   * What is rented, and the ranking as it is kept: a reserved machine as it is, with prices only; else the host to be filled first, where the
   * best is one of several that are the same.
   */
  private async settled(
    tx: Tx,
    ranking: Ranking,
    best: RankedOffer | undefined,
    reserved: Reserved | null,
    wide: readonly RankedOffer[],
  ): Promise<{ ranking: Ranking; best: RankedOffer | undefined }> {
    if (best === undefined) return { ranking, best };
    if (reserved) return { ranking: forTenant(ranking, best, reserved), best };
    const peers = wide.filter((other) => isPeer(best, other));
    const offer =
      peers.length < 2
        ? null
        : await this.toFill(
            tx,
            peers.map((peer) => peer.offer),
          );
    const chosen = peers.find((peer) => peer.offer.id === offer?.id);
    if (!chosen) return { ranking, best };
    const others = ranking.ranked.filter((r) => r.offer.id !== chosen.offer.id);
    return {
      ranking: { ...ranking, ranked: [chosen, ...others].slice(0, KEPT), packedAmong: peers.length },
      best: chosen,
    };
  }

  /** What the work is expected to cost on the best offer that can be rented now; nothing is stored. */
  async estimate(request: {
    projectId: string;
    workload: Workload;
    atRiskS?: number;
  }): Promise<
    | { offer: Offer; expectedNano: bigint; expectedS: number; fallback: Fallback | null }
    | { why: string; hints: readonly string[] }
  > {
    // An estimate is not put off by what cools down for a moment: the job itself will wait or go elsewhere.
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

  /** One offer as it is now, and what keeps it from being rented at once for that work, price apart; null when it is gone. The transaction must be a worker's. */
  async offerNow(
    tx: Tx,
    of: { offerId: string; projectId: string; workload: Workload },
  ): Promise<{ offer: Offer; unavailable: RejectionDimension | null } | null> {
    const index = await this.rentable.upToDate(tx, this.clock.now());
    const offer = index.find(of.offerId);
    if (!offer) return null;
    const context = await this.contextOf(tx, { ...of, scope: 'rentable', avoidOffers: [], limit: 1 });
    const failing = dimensionsIn(offerFailures(context, demandOf(of.workload), offer));
    return { offer, unavailable: failing[0] ?? null };
  }

  /** Reads the offers as they are now; they do not change while `read` runs, however often it pauses. */
  async look<T>(scope: 'market' | 'rentable', read: (index: OfferIndex) => Promise<T>): Promise<T> {
    const live = scope === 'rentable' ? this.rentable : this.market;
    const nowMs = this.clock.now();
    const index = live.fresh(nowMs) ?? (await this.store.transaction(WORKER, (tx) => live.upToDate(tx, nowMs)));
    return live.unchanged(() => read(index));
  }

  /** Speeds of whole machines as Berth's own leases had them, as of a moment ago. */
  async measuredSpeeds(): Promise<MeasuredMachines> {
    const learnt =
      this.learntFresh(this.clock.now()) ?? (await this.store.transaction(WORKER, (tx) => this.learntBy(tx)));
    return learnt.measured;
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

  private learntFresh(nowMs: number): Learnt | null {
    return this.learnt && nowMs - this.learnt.readAtMs < LEARNT_TTL_MS ? this.learnt : null;
  }

  /** As of a moment ago: the same objects meanwhile, so that terms are shared. */
  private async learntBy(tx: Tx): Promise<Learnt> {
    const known = this.learntFresh(this.clock.now());
    if (known) return known;
    const priors = await learntPriors(tx);
    const measured = await learntSpeeds(tx);
    this.learnt = { priors, speeds: learntHardwareSpeeds(measured), measured, readAtMs: this.clock.now() };
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
