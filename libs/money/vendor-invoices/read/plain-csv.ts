import { amountOf, checkDollars, spanOf, windowOf, type LineFormat } from './line.js';

const HEADING = 'The heading is machine_id,from,to,amount_usd and, where known, line_id,duration_s,description.';

/** Any other vendor: `machine_id,from,to,amount_usd`, and where known `line_id`, `duration_s`, `description`, `currency`. */
export const plainCsv: LineFormat = {
  needs: ['machine_id', 'from', 'to', 'amount_usd'].map((name) => ({ anyOf: [name], fix: HEADING })),
  read: (cell) => {
    checkDollars(cell('currency'), 'currency');
    const window = windowOf(cell, 'from', 'to');
    const duration = cell('duration_s');
    return {
      id: cell('line_id') || null,
      machineIds: cell('machine_id') === '' ? [] : [cell('machine_id')],
      what: cell('description').slice(0, 200),
      ...window,
      amountNano: amountOf(cell('amount_usd').replace(/^(-?)\$/, '$1'), 'amount_usd'),
      statedMs: duration === '' ? window.toMs - window.fromMs : spanOf(duration, 'seconds', 'duration_s'),
    };
  },
};
