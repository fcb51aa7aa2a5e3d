import { describe, expect, it } from '@jest/globals';
import { RETRY_AFTER_MOST_MS, VendorError } from './provider-port.js';

describe('an error of a vendor', () => {
  it.each<[number | null, number | null]>([
    [null, null],
    [0, 0],
    [7_000, 7_000],
    [30 * 86_400_000, RETRY_AFTER_MOST_MS],
    [Infinity, RETRY_AFTER_MOST_MS],
    [-1, null],
    [Number.NaN, null],
  ])('that asks for %d ms of peace is heard as %d', (asked, heard) => {
    expect(new VendorError('rate-limited', 'account', 'later', asked).retryAfterMs).toBe(heard);
  });
});
