import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Gather } from './gather.js';

describe('Gather', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());
  const open = (): { sent: (readonly string[])[]; gather: Gather<string> } => {
    const sent: (readonly string[])[] = [];
    return { sent, gather: new Gather<string>(async (things) => void sent.push(things), 50) };
  };

  it('sends the first at once, with all of its turn, and what follows at the end of the window', async () => {
    const { sent, gather } = open();
    const both = [gather.add('a', 'a'), gather.add('b', 'b')];
    await Promise.all(both);
    expect(sent).toEqual([['a', 'b']]);
    const late = gather.add('c', 'c');
    await jest.advanceTimersByTimeAsync(49);
    void gather.add('d', 'd');
    expect(sent).toHaveLength(1);
    await jest.advanceTimersByTimeAsync(1);
    await late;
    expect(sent).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
    await jest.advanceTimersByTimeAsync(50);
    await gather.add('e', 'e');
    expect(sent.at(-1)).toEqual(['e']);
  });

  it('keeps one thing of each key, the last one', async () => {
    const { sent, gather } = open();
    await Promise.all([gather.add('a', 'old'), gather.add('a', 'new')]);
    expect(sent).toEqual([['new']]);
  });

  it('sends at once what waits when it is flushed', async () => {
    const { sent, gather } = open();
    await gather.add('a', 'a');
    void gather.add('b', 'b');
    await gather.flush();
    expect(sent).toEqual([['a'], ['b']]);
    await gather.flush();
    expect(sent).toHaveLength(2);
  });

  it('takes what comes while it sends into the next turn', async () => {
    const sent: (readonly string[])[] = [];
    let goOn = (): void => undefined;
    const gather = new Gather<string>(async (things) => {
      sent.push(things);
      if (sent.length === 1) await new Promise<void>((resolve) => (goOn = resolve));
    }, 50);
    const first = gather.add('a', 'a');
    await jest.advanceTimersByTimeAsync(0);
    const second = gather.add('b', 'b');
    await jest.advanceTimersByTimeAsync(50);
    await second;
    expect(sent).toEqual([['a'], ['b']]);
    goOn();
    await first;
  });
});
