import { DAY, DomainError } from '#kernel';

/** From when to when a report is asked for, ms; the last 30 days where nothing is said. Refused when it is empty. */
export function spanAsked(asked: { from?: string | undefined; to?: string | undefined }, nowMs: number) {
  const toMs = asked.to === undefined ? nowMs : Date.parse(asked.to);
  const fromMs = asked.from === undefined ? toMs - 30 * DAY : Date.parse(asked.from);
  if (toMs <= fromMs)
    throw new DomainError('invalid', 'range-empty', '`to` must lie after `from`.', {
      field: 'to',
      fix: asked.from === undefined ? 'Give `from` too: it is 30 days before `to` if left out.' : 'Exchange them.',
    });
  return { fromMs, toMs };
}
