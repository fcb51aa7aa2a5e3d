import { DAY, HOUR } from '#kernel';

/** Half-open, in milliseconds. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** From where a time is counted: whole days and hours from their sums, what is left at the ends from the records themselves. */
export interface UsageSpans {
  readonly days: readonly Span[];
  readonly hours: readonly Span[];
  readonly records: readonly Span[];
}

/** Cuts a time into the coarsest spans that tell apart what is asked: days only where no hours are. */
export function usageSpans(fromMs: number, toMs: number, finest: 'hour' | 'day'): UsageSpans {
  const none: UsageSpans = { days: [], hours: [], records: [] };
  if (toMs <= fromMs) return none;
  const [hour, hourEnd] = [up(fromMs, HOUR), down(toMs, HOUR)];
  if (hourEnd <= hour) return { ...none, records: [{ fromMs, toMs }] };
  const records = spans([fromMs, hour], [hourEnd, toMs]);
  const [day, dayEnd] = [up(hour, DAY), down(hourEnd, DAY)];
  if (finest === 'hour' || dayEnd <= day) return { ...none, hours: spans([hour, hourEnd]), records };
  return { days: spans([day, dayEnd]), hours: spans([hour, day], [dayEnd, hourEnd]), records };
}

const up = (ms: number, step: number): number => Math.ceil(ms / step) * step;
const down = (ms: number, step: number): number => Math.floor(ms / step) * step;
const spans = (...of: [number, number][]): Span[] =>
  of.filter(([fromMs, toMs]) => fromMs < toMs).map(([fromMs, toMs]) => ({ fromMs, toMs }));
