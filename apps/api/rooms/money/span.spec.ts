import { describe, expect, it } from '@jest/globals';
import { DAY } from '#kernel';
import { spanAsked } from './span.js';

const NOW = Date.UTC(2026, 10, 21);
const at = (ms: number): string => new Date(ms).toISOString();

describe('the time a report is asked for', () => {
  it('is the last 30 days where nothing is said, or the 30 days before its end', () => {
    expect(spanAsked({}, NOW)).toEqual({ fromMs: NOW - 30 * DAY, toMs: NOW });
    expect(spanAsked({ to: at(NOW - DAY) }, NOW)).toEqual({ fromMs: NOW - 31 * DAY, toMs: NOW - DAY });
    expect(spanAsked({ from: at(NOW - DAY) }, NOW)).toEqual({ fromMs: NOW - DAY, toMs: NOW });
  });

  it.each([
    ['the wrong way round', { from: at(NOW), to: at(NOW - 1) }, 'Exchange them.'],
    ['empty', { from: at(NOW), to: at(NOW) }, 'Exchange them.'],
  ])('is refused when it is %s', (_, asked, fix) => {
    expect(() => spanAsked(asked, NOW)).toThrow(
      expect.objectContaining({ code: 'range-empty', details: { field: 'to', fix } }),
    );
  });
});
