import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { account, accountKinds, chart, ownAccounts } from './chart.js';

/** The rows of the README's table: account, owner, sign. */
const documented = readFileSync(new URL('./README.md', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => /^\| `[a-z-]+:/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')))
  .map(([, id = '', owner = '', sign = '', meaning = '']) => ({ id, owner, sign, meaning }));

const PER = { organization: '<organization>', provider: '<provider>', berth: 'berth' } as const;

describe('the chart of accounts', () => {
  it('is the one of the README, in the same order', () => {
    expect(documented.map(({ id, owner, sign }) => ({ id, owner, sign }))).toEqual(
      accountKinds.map((kind) => {
        const { per, owner, sign } = chart[kind];
        return { id: `${kind}:${PER[per]}`, owner, sign };
      }),
    );
  });

  it('says of each account what its balance means', () => {
    for (const { meaning } of documented) expect(meaning.length).toBeGreaterThan(20);
  });

  it('has a name for each account, made of its kind and owner', () => {
    const named = Object.values(account).map((of) => (typeof of === 'string' ? of : of('x')));
    expect(named).toEqual(accountKinds.map((kind) => `${kind}:${chart[kind].per === 'berth' ? 'berth' : 'x'}`));
  });

  it('knows which accounts the broker opens for itself', () => {
    expect(ownAccounts.map((a) => a.id)).toEqual(Object.values(account).filter((of) => typeof of === 'string'));
  });
});
