import { toOfferView, type Candidate, type Offer, type PlacementView } from '#contracts';
import { spentOf } from '../cost/cost.js';
import { explanationOf } from './explanation.js';
import { reasonsFor } from './explain.js';
import type { Ranking } from '../columns/ranking.js';
import { planOf } from '../plan/view.js';
import { headlineScores } from './scores.js';
import { costView } from './terms.js';
import { givenUpFor } from './words.js';

/** What a placement says besides its id and time of creation. */
export type RankingView = Omit<PlacementView, 'id' | 'createdAt'>;

/** The ranking in the form that is stored and shown, with that many candidates at most; `tried` failed before. */
export function rankingView(
  ranking: Ranking,
  kept = Infinity,
  tried: readonly Pick<Offer, 'providerId' | 'region'>[] = [],
): RankingView {
  const { workload, context } = ranking;
  return {
    workload,
    objective: workload.objective,
    scope: context.scope,
    considered: ranking.considered,
    fitting: ranking.fitting,
    candidates: candidatesOf(ranking).slice(0, kept),
    rejections: ranking.rejections,
    hints: [...ranking.hints],
    ...(ranking.contradictions.length > 0 ? { contradictions: [...ranking.contradictions] } : {}),
    explanation: explanationOf(ranking),
    plan: planOf({ ...ranking, ranked: ranking.ranked.slice(0, kept) }, tried),
  };
}

const packedSentence = (among: number): string =>
  `Chosen among ${among} hosts of its provider that offer the same at that price, so that whole blocks of GPUs stay free on the others.`;

const RESERVED =
  'A machine that the broker has reserved. Its price is made from its list price, or from what the work would have cost elsewhere where that is less.';

export function candidatesOf(ranking: Ranking): Candidate[] {
  const { workload, context, ranked } = ranking;
  const spent = ranked.map((r) => spentOf(r.cost));
  const leastSpent = spent.reduce((a, b) => (b < a ? b : a), spent[0] ?? 0n);
  const forWhat = ranking.firstIsReserved ? givenUpFor.reserved : givenUpFor.blocks;
  return ranked.map((candidate, i) => ({
    rank: i + 1,
    offer: toOfferView(candidate.offer),
    expectedS: candidate.time.expectedS,
    usefulS: candidate.time.usefulS,
    checkpointS: candidate.time.checkpointS,
    cost: costView(candidate.cost),
    scores: headlineScores(context, workload, candidate, leastSpent),
    reasons: [
      ...reasonsFor(context, workload, candidate, ranked[i + 1], forWhat),
      ...(i === 0 && ranking.packedAmong !== undefined ? [packedSentence(ranking.packedAmong)] : []),
      ...(i === 0 && ranking.firstIsReserved ? [RESERVED] : []),
    ],
  }));
}
