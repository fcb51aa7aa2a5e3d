import { describe, expect, it } from '@jest/globals';
import { asksCsv } from './csv.js';

describe('asking for CSV', () => {
  it.each([
    [undefined, false],
    ['*/*', false],
    ['application/json', false],
    ['text/csv', true],
    ['TEXT/CSV; charset=utf-8', true],
    ['application/json, text/csv', false],
    ['application/json;q=0.5, text/csv;q=0.9', true],
    ['text/csv;q=0', false],
  ])('Accept: %s', (accept, csv) => {
    expect(asksCsv(accept)).toBe(csv);
  });
});
