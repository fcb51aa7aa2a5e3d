import { choiceRegret, type ChoiceRegret } from './spot-regret/choice.js';
import { DEADLINE_RATIOS, dollarRegret } from './spot-regret/dollar-regret.js';
import { choiceRecords, dollarRecords } from './spot-regret/records.js';

/**
 * What the policies of `market/survival` lose against one who knows the record, beside known policies in the same run.
 * Records and figures are only read here: nothing in the policies was made for one of them.
 */
const quick = process.argv.includes('--quick');
/** Seeds that policies with chance are averaged over. */
const DRAWS = quick ? 10 : 100;
/** Jobs per record and deadline. */
const WINDOWS = quick ? 6 : 14;

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

const cells = dollarRecords().flatMap((record) => DEADLINE_RATIOS.map((ratio) => dollarRegret(record, ratio, WINDOWS)));
const policies = ['oursPct', 'greedyPct', 'upPct', 'skynomadPct'] as const;
const meanCell = Object.fromEntries(policies.map((k) => [k, round(mean(cells.map((c) => c[k])))]));
console.log(
  `30 h of work under a deadline, ${WINDOWS} jobs each: dollars over those of one who knows the record, per cent`,
);
console.table(
  [...cells, { record: 'mean of all cells', ...meanCell }].map((row) =>
    Object.fromEntries(Object.entries(row).map(([k, v]) => [k, typeof v === 'number' ? round(v) : v])),
  ),
);
const behind = Math.max(...cells.map((c) => c.oursPct - Math.min(c.greedyPct, c.upPct, c.skynomadPct)));
const late = cells.reduce((sum, c) => sum + c.late, 0);
console.log(`most points behind the best of the others in any cell: ${round(behind)}; late jobs: ${late}`);
const dollars = Object.fromEntries(
  [...cells.map((c) => ({ name: `${c.record} x${c.deadline}`, of: c })), { name: 'mean', of: meanCell }].map(
    ({ name, of }) => [name, Object.fromEntries(policies.map((k) => [k, round(of[k] ?? NaN)]))],
  ),
);
console.log(JSON.stringify({ bench: 'spot-regret', choice, dollars, late }));
