import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DAY, HOUR } from '#kernel';
import { usageSpans } from './usage-spans.js';

const MIDNIGHT = Date.UTC(2026, 10, 1);

describe('spans of usage', () => {
  it('take whole days where they can, hours at their ends, and records for what is left', () => {
    const [from, to] = [MIDNIGHT - 90 * 60_000, MIDNIGHT + 2 * DAY + HOUR + 1];
    expect(usageSpans(from, to, 'day')).toEqual({
      days: [{ fromMs: MIDNIGHT, toMs: MIDNIGHT + 2 * DAY }],
      hours: [
        { fromMs: MIDNIGHT - HOUR, toMs: MIDNIGHT },
        { fromMs: MIDNIGHT + 2 * DAY, toMs: MIDNIGHT + 2 * DAY + HOUR },
      ],
      records: [
        { fromMs: from, toMs: MIDNIGHT - HOUR },
        { fromMs: MIDNIGHT + 2 * DAY + HOUR, toMs: to },
      ],
    });
    expect(usageSpans(from, to, 'hour').hours).toEqual([{ fromMs: MIDNIGHT - HOUR, toMs: MIDNIGHT + 2 * DAY + HOUR }]);
  });

  it('tile the time without gap or overlap, on whole days and hours', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4 * DAY }),
        fc.integer({ min: -HOUR, max: 4 * DAY }),
        fc.constantFrom('hour' as const, 'day' as const),
        (start, length, finest) => {
          const [from, to] = [MIDNIGHT + start, MIDNIGHT + start + length];
          const { days, hours, records } = usageSpans(from, to, finest);
          const all = [...days, ...hours, ...records].toSorted((a, b) => a.fromMs - b.fromMs);
          let at = from;
          for (const span of all) {
            expect(span.fromMs).toBe(at);
            expect(span.toMs).toBeGreaterThan(span.fromMs);
            at = span.toMs;
          }
          expect(at).toBe(Math.max(from, Math.min(at, to)));
          if (to > from) expect(at).toBe(to);
          for (const d of days) expect([d.fromMs % DAY, d.toMs % DAY]).toEqual([0, 0]);
          for (const h of hours) expect([h.fromMs % HOUR, h.toMs % HOUR]).toEqual([0, 0]);
          if (finest === 'hour') expect(days).toEqual([]);
        },
      ),
    );
  });
});
