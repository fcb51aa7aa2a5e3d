import type { CostTerms } from '#contracts';
import type { ExpectedCost } from '../cost/cost.js';
import { termWords } from './explain.js';

type Term = keyof ExpectedCost;

const keysOf = (cost: ExpectedCost): Term[] => Object.keys(cost) as Term[];

/** Terms as they are stored and shown. */
export function costView(cost: ExpectedCost): CostTerms {
  return Object.fromEntries(keysOf(cost).map((term) => [term, cost[term].toString()])) as CostTerms;
}

/** `a` less `b`, term by term. */
export function difference(a: ExpectedCost, b: ExpectedCost): CostTerms {
  return Object.fromEntries(keysOf(a).map((term) => [term, (a[term] - b[term]).toString()])) as CostTerms;
}

/** Every term but the total, with what its money is for. */
export const everyTerm: readonly (readonly [Exclude<Term, 'total'>, string])[] = [
  ['compute', 'computing'],
  ...termWords,
  ['timeValue', 'waiting'],
  ['risk', 'uncertainty'],
];
