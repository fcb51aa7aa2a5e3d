import type { Tx } from '#platform/database';
import { documentNumbers } from './rows/documents.table.js';

/**
 * The next number of a series in a year, such as INV-2026-000017. The counter's row stays locked until the transaction ends, and an
 * undone transaction takes its number back: so numbers rise without gaps in the order of the commits.
 */
export async function nextNumber(tx: Tx, series: string, atMs: number): Promise<string> {
  const year = new Date(atMs).getUTCFullYear();
  await tx.insertNew(documentNumbers, [{ series, year, last: 0 }]);
  const [row] = await tx.update(documentNumbers, { series, year }, { last: { add: 1 } });
  if (!row) throw new Error(`the counter of ${series} ${year} is gone`);
  return `${series}-${year}-${String(row.last).padStart(6, '0')}`;
}
