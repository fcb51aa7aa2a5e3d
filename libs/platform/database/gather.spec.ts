import { describe, expect, it } from '@jest/globals';
import { Gather } from './gather.js';

/** Groups that were asked for, each held up until it is let go. */
function open(mostAtOnce?: number) {
  const groups: {
    key: string;
    items: readonly number[];
    go: (results: readonly (number | Error)[]) => void;
    fail: (error: Error) => void;
  }[] = [];
  const gather = new Gather<number, number>(
    (key, items) => new Promise((go, fail) => void groups.push({ key, items, go, fail })),
    mostAtOnce,
  );
  return {
    groups,
    gather,
    last: () =>
      groups.at(-1) ??
      (() => {
        throw new Error('nothing runs');
      })(),
  };
}
const settled = () => new Promise((r) => setImmediate(r));

describe('gathering', () => {
  it('starts at once, and then takes together what came while it ran, in order', async () => {
    const { groups, gather, last } = open();
    const first = gather.add('a', 1);
    expect(groups.map((g) => g.items)).toEqual([[1]]);
    const rest = Promise.all([gather.add('a', 2), gather.add('a', 3)]);
    expect(groups).toHaveLength(1);
    last().go([10]);
    expect(await first).toBe(10);
    await settled();
    expect(groups.map((g) => g.items)).toEqual([[1], [2, 3]]);
    last().go([20, 30]);
    expect(await rest).toEqual([20, 30]);
    // Nobody waits where nobody runs.
    void gather.add('a', 4).catch(() => undefined);
    await settled();
    expect(last().items).toEqual([4]);
  });

  it('of one key does not wait for another', () => {
    const { groups, gather } = open();
    void gather.add('a', 1);
    void gather.add('b', 2);
    expect(groups.map((g) => [g.key, g.items])).toEqual([
      ['a', [1]],
      ['b', [2]],
    ]);
  });

  it('takes no more at once than it may', async () => {
    const { groups, gather, last } = open(2);
    const all = Promise.all([1, 2, 3, 4].map((n) => gather.add('a', n)));
    while (groups.flatMap((g) => g.items).length < 4) {
      last().go(last().items);
      await settled();
    }
    last().go(last().items);
    expect(await all).toEqual([1, 2, 3, 4]);
    expect(groups.map((g) => g.items)).toEqual([[1], [2, 3], [4]]);
  });

  it('gives each its own error, and all of a group what the work throws', async () => {
    const { gather, last } = open();
    const first = gather.add('a', 1);
    const rest = Promise.allSettled([gather.add('a', 2), gather.add('a', 3)]);
    last().fail(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    await settled();
    last().go([20, new Error('refused')]);
    expect((await rest).map((r) => (r.status === 'fulfilled' ? r.value : String(r.reason)))).toEqual([
      20,
      'Error: refused',
    ]);
  });
});
