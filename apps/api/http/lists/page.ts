import { z } from 'zod';
import type { CursorValue, Cursors } from './cursor.js';
import { queryInt } from '../query-types.js';

export interface Page<T> {
  readonly items: T[];
  readonly nextCursor: string | null;
}

export const DEFAULT_PAGE = 50;
export const MAX_PAGE = 200;

/** The query of every list. */
export const pageQuery = z.strictObject({
  limit: queryInt(1, MAX_PAGE)
    .default(DEFAULT_PAGE)
    .meta({ description: 'Most items on the page', default: DEFAULT_PAGE }),
  cursor: z.string().max(2_000).optional().meta({ description: '`nextCursor` of the page before' }),
});

/** A page as the handler of a list sees it. */
export class PageCall {
  /** For `tx.find`: one row more than fits on the page says that there is a next one. */
  readonly order: { readonly limit: number; readonly after?: readonly CursorValue[] };

  constructor(
    private readonly cursors: Cursors,
    private readonly list: string,
    private readonly limit: number,
    cursor: string | undefined,
  ) {
    this.order = {
      limit: limit + 1,
      ...(cursor === undefined ? {} : { after: cursors.decode(list, cursor) }),
    };
  }

  /** The answer: rows found with `order`, the values they are ordered by (unique together), and how one is shown. */
  answer<Row, T>(
    rows: readonly Row[],
    orderedBy: (row: Row) => readonly CursorValue[],
    show: (row: Row) => T,
  ): Page<T> {
    const shown = rows.slice(0, this.limit);
    const last = shown.at(-1);
    const more = rows.length > this.limit && last !== undefined;
    return { items: shown.map(show), nextCursor: more ? this.cursors.encode(this.list, orderedBy(last)) : null };
  }
}
