import {
  toOfferView,
  type CostTerms,
  type Offer,
  type PlacementView,
  type RejectionDimension,
  type Replay,
  type ReplayCauses,
  type Workload,
} from '#contracts';
import { rankList } from '../columns/rank.js';
import type { RankedOffer, Ranking } from '../columns/ranking.js';
import type { PlacementContext } from '../context.js';
import { money } from './explain.js';
import { costView, everyTerm } from './terms.js';

/** What a decision that was taken again is held against. */
export interface ReplayOf {
  readonly then: PlacementView;
  readonly now: Ranking;
  /** Today's form of the offer that won then; null = it is gone. */
  readonly winnerToday: Offer | null;
}

/** What changed between two decisions: the question, the market, or what is believed; in dollars for the winner of then. */
export function replayOf({ then, now, winnerToday }: ReplayOf): Replay {
  const question = changesOf(then, now);
  const [first] = then.candidates;
  const [winner] = now.ranked;
  const before = winner ? then.candidates.find((c) => c.offer.id === winner.offer.id) : undefined;
  const fate = first ? fateOf(now, winnerToday, first.offer.id) : null;
  const today = fate && winnerToday ? costToday(now, winnerToday) : null;
  const changes = first && today && winnerToday ? causesOf(then, now, winnerToday, today) : null;
  const replay = {
    of: then.id,
    at: then.createdAt,
    question,
    sameWinner: first?.offer.id === winner?.offer.id,
    winnerThen:
      first && fate
        ? {
            offer: first.offer,
            cost: first.cost,
            now: {
              ...fate,
              offer: winnerToday && toOfferView(winnerToday),
              cost: today && costView(today.cost),
              because: changes,
            },
          }
        : null,
    winnerNow: winner
      ? {
          offer: toOfferView(winner.offer),
          cost: costView(winner.cost),
          then: before ? { rank: before.rank, cost: before.cost } : null,
        }
      : null,
  };
  return { ...replay, summary: summaryOf(replay) };
}

function changesOf(then: PlacementView, now: Ranking): Replay['question'] {
  const { workload, context } = now;
  const shown = (value: unknown): string => (value === undefined ? 'none' : JSON.stringify(value));
  const all: [string, unknown, unknown][] = [
    ['objective', then.workload.objective, workload.objective],
    ['scope', then.scope, context.scope],
    ...[...new Set([...Object.keys(then.workload.constraints), ...Object.keys(workload.constraints)])]
      .sort()
      .map((key): [string, unknown, unknown] => {
        const name = key as keyof Workload['constraints'];
        return [`constraints.${key}`, then.workload.constraints[name], workload.constraints[name]];
      }),
  ];
  return all
    .map(([field, was, is]) => ({ field, then: shown(was), now: shown(is) }))
    .filter((change) => change.then !== change.now);
}

type Fate = Pick<NonNullable<Replay['winnerThen']>['now'], 'fate' | 'rank' | 'rejectedBy'>;

function fateOf(now: Ranking, winnerToday: Offer | null, id: string): Fate {
  const at = now.ranked.findIndex((r) => r.offer.id === id);
  if (at >= 0) return { fate: at === 0 ? 'first' : 'ranked', rank: at + 1, rejectedBy: null };
  if (!winnerToday) return { fate: 'gone', rank: null, rejectedBy: null };
  const alone = rankList([winnerToday], now.workload, now.context);
  const [rejectedBy] = Object.keys(alone.rejections) as RejectionDimension[];
  return { fate: rejectedBy ? 'rejected' : 'ranked', rank: null, rejectedBy: rejectedBy ?? null };
}

/** What an offer costs whatever the constraints say; null where its time is not known. */
function costWhatever(offer: Offer, workload: Workload, context: PlacementContext): RankedOffer | null {
  const free: PlacementContext = { ...context, coolingDown: [], limit: 1, nearMisses: true };
  const { ranked, nearMisses } = rankList([{ ...offer, doubts: [] }], { ...workload, constraints: {} }, free);
  return ranked[0] ?? nearMisses[0]?.nearest ?? null;
}

const costToday = (now: Ranking, offer: Offer): RankedOffer | null => costWhatever(offer, now.workload, now.context);

/**
 * The change of the cost of the offer that won then, in three steps that add up to it exactly: the old question at the old
 * price under today's beliefs, then today's question, then today's price.
 */
function causesOf(then: PlacementView, now: Ranking, offer: Offer, today: RankedOffer): ReplayCauses | null {
  const [first] = then.candidates;
  if (!first) return null;
  const atOldPrice: Offer = { ...offer, pricePerHour: BigInt(first.offer.pricePerHour) };
  const believed = costWhatever(atOldPrice, then.workload, { ...now.context, scope: then.scope });
  const asked = costToday(now, atOldPrice);
  if (!believed || !asked) return null;
  const [a, b, c] = [believed, asked, today].map((r) => costView(r.cost)) as [CostTerms, CostTerms, CostTerms];
  return { belief: less(a, first.cost), question: less(b, a), price: less(c, b) };
}

function less(a: CostTerms, b: CostTerms): CostTerms {
  const terms = (Object.keys(a) as (keyof CostTerms)[]).map((term): [string, string] => [
    term,
    (BigInt(a[term] ?? 0) - BigInt(b[term] ?? 0)).toString(),
  ]);
  return Object.fromEntries(terms) as CostTerms;
}

const causeWords = {
  price: 'its price',
  belief: 'what is believed of it now',
  question: 'the other question',
} as const;

function summaryOf({ winnerThen, winnerNow, sameWinner, question }: Omit<Replay, 'summary'>): string[] {
  const nameOf = ({ offer }: { offer: { providerId: string; sku: string; region: string } }): string =>
    `${offer.providerId}/${offer.sku} in ${offer.region}`;
  const said = question.map((q) => `Asked with ${q.field} ${q.now} instead of ${q.then}.`);
  if (!winnerThen)
    return [...said, winnerNow ? `Nothing fitted then; ${nameOf(winnerNow)} wins now.` : 'Nothing fits, as then.'];
  const { now } = winnerThen;
  const first = nameOf(winnerThen);
  const total = BigInt(winnerThen.cost.total);
  if (!winnerNow) said.push(`${first} won then; nothing fits now.`);
  else
    said.push(
      sameWinner
        ? `${first} wins again.`
        : `${first} won then at ${money(total)}; ${nameOf(winnerNow)} wins now at ${money(BigInt(winnerNow.cost.total))}.`,
    );
  if (now.fate === 'gone') said.push(`${first} is no longer offered.`);
  else if (now.fate === 'rejected') said.push(`${first} is now rejected by ${now.rejectedBy ?? 'a constraint'}.`);
  else if (now.fate === 'ranked')
    said.push(`${first} is ${now.rank === null ? 'behind the kept candidates' : `now number ${now.rank}`}.`);
  const { because } = now;
  if (because)
    for (const cause of ['price', 'belief', 'question'] as const) {
      const by = BigInt(because[cause].total);
      if (by === 0n) continue;
      const terms = everyTerm
        .map(([term, what]) => ({ what, nano: BigInt(because[cause][term]) }))
        .filter(({ nano }) => nano !== 0n)
        .sort((x, y) => (abs(x.nano) > abs(y.nano) ? -1 : 1))
        .slice(0, 3)
        .map(({ what, nano }) => `${nano < 0n ? '-' : '+'}${money(abs(nano))} for ${what}`);
      said.push(
        `It counts ${money(abs(by))} ${by > 0n ? 'more' : 'less'} by ${causeWords[cause]}: ${terms.join(', ')}.`,
      );
    }
  return said;
}

const abs = (nano: bigint): bigint => (nano < 0n ? -nano : nano);
