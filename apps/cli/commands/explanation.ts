import type { ComparedOffer, CostTerms, Explanation, NearMissView, OfferView, PlacementView, Plan } from '#contracts';
import { rowsText, type Output } from '../output.js';
import { dollars, duration, plainLine, wrapped } from '../text.js';

const WIDTH = 100;
const NAME_WIDTH = 17;

/** Why the first candidate won and what was close, as tables of at most a hundred columns. */
export function explanationText(decision: PlacementView, output: Output): string {
  const said = decision.explanation;
  const [winner] = decision.candidates;
  if (!said) return 'This decision was stored without an explanation.\n';
  const people: Output = { ...output, table: true, csv: false };
  return [
    ...(winner ? [winnerText(winner, said, people)] : []),
    nearMissesText(said.nearMisses, people),
    ...(decision.plan && decision.plan.tries.length > 0 ? [planText(decision.plan, people)] : []),
  ].join('\n');
}

/** What changed since the decision that was taken again. */
export function replayText(decision: PlacementView, output: Output): string {
  const { replay } = decision;
  if (!replay) return 'This decision is not a replay of another.\n';
  const { winnerThen, winnerNow } = replay;
  const because = winnerThen?.now.because;
  const people: Output = { ...output, table: true, csv: false };
  const terms = winnerThen
    ? (Object.keys(winnerThen.cost) as (keyof CostTerms)[]).filter((term) =>
        [winnerThen.cost, winnerThen.now.cost, winnerNow?.cost].some((cost) => cost && cost[term] !== '0'),
      )
    : [];
  const table = winnerThen
    ? rowsText(
        terms,
        [
          { title: 'term', of: spaced },
          { title: 'won then', of: (t) => dollars(winnerThen.cost[t]), right: true },
          ...(because
            ? [
                { title: 'price', of: (t: keyof CostTerms) => signed(because.price[t]), right: true },
                { title: 'belief', of: (t: keyof CostTerms) => signed(because.belief[t]), right: true },
                { title: 'question', of: (t: keyof CostTerms) => signed(because.question[t]), right: true },
              ]
            : []),
          { title: 'same now', of: (t) => (winnerThen.now.cost ? dollars(winnerThen.now.cost[t]) : ''), right: true },
          { title: 'wins now', of: (t) => (winnerNow ? dollars(winnerNow.cost[t]) : ''), right: true },
        ],
        people,
      )
    : '';
  const lines = [...replay.summary, `Decision ${decision.id}, a replay of ${replay.of}`];
  return `${lines.map((line) => wrapped(plainLine(line), WIDTH, '  ')).join('')}${table === '' ? '' : `\n${table}`}`;
}

interface Row {
  readonly name: string;
  readonly winner: string;
  readonly second: string;
  readonly secondMore: string;
  readonly cheaper: string;
  readonly cheaperMore: string;
}

function winnerText(winner: PlacementView['candidates'][number], said: Explanation, output: Output): string {
  const { runnerUp, cheaperListed } = said;
  // The runner-up is often the one that is cheaper by list price: it stands there once.
  const other = cheaperListed && cheaperListed.offer.id !== runnerUp?.offer.id ? cheaperListed : null;
  const fact = (name: string, of: (x: Shown) => string): Row => ({
    name,
    winner: of(winner),
    second: runnerUp ? of(runnerUp) : '',
    secondMore: '',
    cheaper: other ? of(other) : '',
    cheaperMore: '',
  });
  const term = (key: keyof CostTerms): Row => ({
    name: spaced(key),
    winner: dollars(winner.cost[key]),
    second: runnerUp ? dollars(runnerUp.cost[key]) : '',
    secondMore: runnerUp ? signed(runnerUp.difference[key]) : '',
    cheaper: other ? dollars(other.cost[key]) : '',
    cheaperMore: other ? signed(other.difference[key]) : '',
  });
  const counted = (Object.keys(winner.cost) as (keyof CostTerms)[]).filter((key) =>
    [winner, runnerUp, other].some((x) => x && x.cost[key] !== '0'),
  );
  const rows = [
    fact('provider', (x) => x.offer.providerId),
    fact('sku', (x) => x.offer.sku),
    fact('accelerators', (x) => machineOf(x.offer)),
    fact('region', (x) => x.offer.region),
    fact('pricing', (x) => x.offer.pricing),
    fact('price per hour', (x) => dollars(x.offer.pricePerHour)),
    fact('finished after', (x) => duration(x.expectedS)),
    ...counted.map(term),
  ];
  const table = rowsText(
    rows,
    [
      { title: 'why', of: (r) => r.name },
      { title: '#1 winner', of: (r) => cut(r.winner), right: true },
      ...(runnerUp
        ? [
            { title: '#2 runner-up', of: (r: Row) => cut(r.second), right: true },
            { title: 'more', of: (r: Row) => r.secondMore, right: true },
          ]
        : []),
      ...(other
        ? [
            { title: `${placeOf(other.rank)} lower list`, of: (r: Row) => cut(r.cheaper), right: true },
            { title: 'more', of: (r: Row) => r.cheaperMore, right: true },
          ]
        : []),
    ],
    output,
  );
  const sentences = [
    ...(runnerUp ? [`#2: ${runnerUp.because}`] : ['Nothing else fits.']),
    ...(other ? [`${placeOf(other.rank)}: ${other.because}`] : []),
    ...(runnerUp && !cheaperListed ? ['No other offer that fits has a lower price per hour.'] : []),
  ];
  return `${table}${sentences.map((s) => wrapped(plainLine(s), WIDTH, '  ')).join('')}`;
}

type Shown = Pick<ComparedOffer, 'offer' | 'expectedS' | 'cost'>;

function nearMissesText(misses: readonly NearMissView[], output: Output): string {
  if (misses.length === 0) return 'No offer is kept out by a single dimension.\n';
  const table = rowsText(
    misses,
    [
      { title: 'only rejected by', of: (m) => m.dimension },
      { title: 'offers', of: (m) => m.offers, right: true },
      {
        title: 'nearest',
        of: (m) => (m.nearest ? cut(`${m.nearest.offer.providerId}/${m.nearest.offer.sku}`, 24) : ''),
      },
      { title: 'in', of: (m) => (m.nearest ? cut(m.nearest.offer.region, 14) : ''), spare: true },
      { title: '$/h', of: (m) => (m.nearest ? dollars(m.nearest.offer.pricePerHour) : ''), right: true },
      { title: 'total', of: (m) => (m.nearest ? dollars(m.nearest.cost.total) : ''), right: true },
      { title: 'would be', of: (m) => (m.nearest ? placeOf(m.nearest.wouldRank) : ''), right: true },
    ],
    output,
  );
  const better = misses.filter((m) => m.nearest?.wouldRank === 1).slice(0, 5);
  const lines = better.map(({ dimension, change, nearest }) =>
    nearest
      ? `Would win but for ${dimension}: ${change}${nearest.offer.doubts.length > 0 ? ` (${nearest.offer.doubts.join('; ')})` : ''}.`
      : '',
  );
  return `${table}${lines.map((s) => wrapped(plainLine(s), WIDTH, '  ')).join('')}`;
}

/** The order of tries; a second start beside one, and when it pays. */
function planText(plan: Plan, output: Output): string {
  const table = rowsText(
    plan.tries,
    [
      { title: 'try', of: (t) => `#${t.rank}` },
      { title: 'failure domain', of: (t) => cut(t.domain, 32) },
      { title: 'fails', of: (t) => `${Math.round(t.startFails * 100)} %`, right: true },
      { title: 'ready', of: (t) => duration(t.ready.p50S), right: true },
      { title: '9 in 10', of: (t) => duration(t.ready.p90S), right: true, spare: true },
      { title: 'second start', of: (t) => hedgeText(t.hedge) },
    ],
    output,
  );
  const behind = plan.fallback.map((f) => `${f.providerKind}${f.rank === null ? ' (none kept)' : ` (#${f.rank})`}`);
  return `${table}${behind.length > 0 ? wrapped(`Behind them: ${behind.join(', then ')}.`, WIDTH, '  ') : ''}`;
}

function hedgeText(hedge: Plan['tries'][number]['hedge']): string {
  if (!hedge) return '';
  const cost = dollars(hedge.costNano);
  const saves = dollars(hedge.worthNano);
  if (hedge.afterS === null) return `never: ${cost} for ${saves}`;
  return `${hedge.afterS === 0 ? 'at once' : `after ${duration(hedge.afterS)}`}: ${cost} for ${saves}`;
}

const placeOf = (rank: number | null): string => (rank === null ? 'behind' : `#${rank}`);
const signed = (nano: string): string => (nano.startsWith('-') || nano === '0' ? dollars(nano) : `+${dollars(nano)}`);
const machineOf = (o: OfferView): string => (o.count === 0 ? o.accelerator : `${o.count} x ${o.accelerator}`);
const cut = (text: string, width = NAME_WIDTH): string => (text.length > width ? `${text.slice(0, width - 1)}…` : text);

/** "billingWaste" to "billing waste". */
export function spaced(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
