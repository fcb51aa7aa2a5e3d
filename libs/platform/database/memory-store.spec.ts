import { describe, expect, it } from '@jest/globals';
import { systemClock } from '#kernel';
import { MemoryStore } from './memory-store.js';
import { describeStoreContract } from './store.contract.js';
import { WORKER, type Procedure } from './table.js';

describeStoreContract('in memory', async () => new MemoryStore(systemClock));

describe('a function of the schema, in memory', () => {
  const echo: Procedure<{ a: string }, { b: string }> = {
    name: 'echo',
    args: { a: 'text' },
    result: { b: 'text' },
    inMemory: async (_, args) => ({ b: JSON.stringify(args), c: 'not declared' }),
  };
  const call = (of: typeof echo, args: { a: string }) =>
    new MemoryStore(systemClock).transaction(WORKER, (tx) => tx.call(of, args));

  it('takes and gives what is declared and nothing else, as PostgreSQL does', async () => {
    const more = { a: 'x', z: 'not declared' };
    expect(await call(echo, more)).toEqual({ b: '{"a":"x"}' });
  });

  it('says what is missing', async () => {
    await expect(call({ ...echo, args: { a: 'text', ...{ z: 'text' } } }, { a: 'x' })).rejects.toThrow(
      'echo is not given z',
    );
    await expect(call({ ...echo, result: { b: 'text', ...{ z: 'text' } } }, { a: 'x' })).rejects.toThrow(
      'echo does not give z',
    );
  });
});
