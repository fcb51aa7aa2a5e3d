import { amountOf, checkDollars, spanOf, windowOf, type LineFormat } from './line.js';

const EXPORT = 'Export the Cost and Usage Report again with';

/**
 * AWS Cost and Usage Report, hourly or daily, as CSV. Columns of CUR 2.0 (`line_item_usage_start_date`); those of the legacy
 * report (`lineItem/UsageStartDate`) are read as the same (`columnName`).
 */
export const awsCur: LineFormat = {
  needs: [
    { anyOf: ['line_item_usage_start_date'], fix: `${EXPORT} the column of the start of the usage.` },
    { anyOf: ['line_item_usage_end_date'], fix: `${EXPORT} the column of the end of the usage.` },
    { anyOf: ['line_item_unblended_cost'], fix: `${EXPORT} the unblended cost.` },
    { anyOf: ['line_item_resource_id'], fix: `${EXPORT} resource ids included.` },
  ],
  read: (cell) => {
    checkDollars(cell('line_item_currency_code'), 'line_item_currency_code');
    const [id, interval] = [cell('identity_line_item_id'), cell('identity_time_interval')];
    const hours = /^(hrs|hours?)$/i.test(cell('pricing_unit')) && cell('line_item_usage_amount') !== '';
    return {
      // An id names a line within an hour or day of one report.
      id: id === '' ? null : `${id} ${interval}`,
      machineIds: namesOfArn(cell('line_item_resource_id')),
      what: words(
        cell('line_item_product_code') || cell('product_product_name'),
        cell('line_item_line_item_type'),
        cell('line_item_usage_type') || cell('line_item_line_item_description'),
      ),
      ...windowOf(cell, 'line_item_usage_start_date', 'line_item_usage_end_date'),
      amountNano: amountOf(cell('line_item_unblended_cost'), 'line_item_unblended_cost'),
      statedMs: hours ? spanOf(cell('line_item_usage_amount'), 'hours', 'line_item_usage_amount') : null,
    };
  },
};

/** `lineItem/UsageStartDate` and `resource.name` as `line_item_usage_start_date` and `resource_name`. */
export function columnName(title: string): string {
  return title
    .trim()
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/[/.\s]+/g, '_')
    .toLowerCase();
}

/** An id, and what stands last in it where it is a path: `arn:aws:ec2:us-east-1:1:instance/i-0ab` is also `i-0ab`. */
export function namesOfArn(text: string): string[] {
  const last = text.split(/[/:]/).at(-1) ?? '';
  return [...new Set([text, last])].filter((name) => name !== '');
}

export const words = (...parts: readonly string[]): string =>
  parts
    .filter((p) => p !== '')
    .join(' ')
    .slice(0, 200);
