import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeConfig } from '#platform/config';

const document = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8');

/** Cells without the padding, which formatters may change. */
function cells(table: string): string[][] {
  return table
    .trim()
    .split('\n')
    .filter((line) => !/^\|[\s|:-]+\|$/.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

describe('docs/operations.md', () => {
  it('shows the configuration as the code describes it', () => {
    const [, table = ''] = /<!-- config -->([\s\S]*)<!-- \/config -->/.exec(document) ?? [];
    expect(cells(table)).toEqual(cells(describeConfig()));
  });
});
