import { choiceRegret, type ChoiceRegret } from './spot-regret/choice.js';
import { choiceRecords } from './spot-regret/records.js';

/**
 * What the policies of `market/survival` lose against one who knows the record, beside known policies in the same run.
 * Records and figures are only read here: nothing in the policies was made for one of them.
 */
const quick = process.argv.includes('--quick');
/** Seeds that policies with chance are averaged over. */
const DRAWS = quick ? 10 : 100;

const round = (x: number, digits = 2): number => Number(x.toFixed(digits));
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

const choices = choiceRecords().map((record) => choiceRegret(record, DRAWS));
const kinds = ['oursPct', 'ucbPct', 'thompsonPct', 'randomPct'] as const;
const meanOf = (of: keyof Omit<ChoiceRegret, 'record'>): number => round(mean(choices.map((c) => c[of])));
const choice = Object.fromEntries(kinds.map((k) => [k, meanOf(k)]));

console.log('One attempt per step: useful hours missed, per cent of the best possible');
console.table(
  [...choices, { record: 'mean', ...choice }].map((row) =>
    Object.fromEntries(Object.entries(row).map(([k, v]) => [k, typeof v === 'number' ? round(v) : v])),
  ),
);
console.log(JSON.stringify({ bench: 'spot-regret', choice }));
