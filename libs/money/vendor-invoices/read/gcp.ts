import { namesOfArn, words } from './aws-cur.js';
import { amountOf, BadLine, checkDollars, windowOf, type LineFormat } from './line.js';

/**
 * Google Cloud billing export (BigQuery, standard or detailed), as JSON lines or CSV with `resource.name` or `resource_name`.
 * A line is what was used of one SKU in one window; the window says when, not how long.
 */
export const gcp: LineFormat = {
  needs: [
    { anyOf: ['usage_start_time'], fix: 'Select usage_start_time from the export.' },
    { anyOf: ['usage_end_time'], fix: 'Select usage_end_time from the export.' },
    { anyOf: ['cost'], fix: 'Select cost from the export.' },
    {
      anyOf: ['resource_name', 'resource_global_name'],
      fix: 'Use the detailed export: the standard one names no machines.',
    },
  ],
  read: (cell) => {
    checkDollars(cell('currency'), 'currency');
    const ids = [...namesOfArn(cell('resource_global_name')), ...namesOfArn(cell('resource_name'))];
    return {
      id: null,
      machineIds: [...new Set(ids)],
      what: words(
        cell('service_description') || cell('service_id'),
        cell('cost_type') === 'regular' ? '' : cell('cost_type'),
        cell('sku_description') || cell('sku_id'),
      ),
      ...windowOf(cell, 'usage_start_time', 'usage_end_time'),
      amountNano: amountOf(cell('cost'), 'cost') + creditsOf(cell('credits')) + sumOf(cell('credits_amount')),
      statedMs: null,
    };
  },
};

const sumOf = (text: string): bigint => (text === '' ? 0n : amountOf(text, 'credits_amount'));

/** Credits are a list of `{name, amount}`, amounts below zero. */
function creditsOf(text: string): bigint {
  if (text === '') return 0n;
  if (!text.startsWith('[')) return amountOf(text, 'credits');
  const fix = 'Export credits as BigQuery gives them: [{"name": "…", "amount": -0.5}].';
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    throw new BadLine('credits is not JSON', fix);
  }
  return (Array.isArray(list) ? list : []).reduce((sum: bigint, credit: unknown) => {
    const amount = typeof credit === 'object' && credit !== null && 'amount' in credit ? credit.amount : undefined;
    if (typeof amount !== 'number' && typeof amount !== 'string') throw new BadLine('a credit has no amount', fix);
    return sum + amountOf(String(amount), 'credits.amount');
  }, 0n);
}
