import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ObjectStore } from './index.js';

const text = (value: string): Uint8Array => Buffer.from(value);

async function* chunksOf(...values: string[]): AsyncGenerator<Uint8Array> {
  for (const value of values) yield text(value);
}

async function* breakingOff(): AsyncGenerator<Uint8Array> {
  yield text('begin');
  throw new Error('the client went away');
}

async function readAll(stream: AsyncIterable<unknown>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(Buffer.from(part as Uint8Array));
  return Buffer.concat(parts).toString();
}

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

/** What every object store must do; each implementation runs it on an empty store. */
export function objectStoreContract(
  name: string,
  opening: () => Promise<{ store: ObjectStore; close(): Promise<void> }>,
): void {
  describe(`${name} keeps the contract of an object store`, () => {
    let store: ObjectStore;
    let close: () => Promise<void>;
    beforeAll(async () => {
      ({ store, close } = await opening());
    });
    afterAll(() => close());

    it('is usable', () => store.check());

    it('gives back what was put, with its hash and length', async () => {
      const body = text('hello artifact');
      const stored = await store.put('org_1/art_1', body);
      expect(stored).toEqual({ sha256: createHash('sha256').update(body).digest('hex'), bytes: 14 });
      expect(await readAll(await store.get('org_1/art_1'))).toBe('hello artifact');
      expect(await store.head('org_1/art_1')).toEqual({ bytes: 14 });
    });

    it('takes streams of known and of unknown length, and nothing at all', async () => {
      const known = await store.put('streams/known', chunksOf('one ', 'two'), { bytes: 7, contentType: 'text/plain' });
      const unknown = await store.put('streams/unknown', chunksOf('one ', 'two'));
      expect(known).toEqual(unknown);
      expect(await readAll(await store.get('streams/known'))).toBe('one two');
      expect(await readAll(await store.get('streams/unknown'))).toBe('one two');
      expect((await store.put('streams/empty', text(''))).bytes).toBe(0);
      expect(await readAll(await store.get('streams/empty'))).toBe('');
    });

    it('keeps any bytes', async () => {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 5_000 }), async (bytes) => {
          const { sha256 } = await store.put('bytes/any', bytes);
          const back: Uint8Array[] = [];
          for await (const part of await store.get('bytes/any')) back.push(part as Uint8Array);
          expect(createHash('sha256').update(Buffer.concat(back)).digest('hex')).toBe(sha256);
          expect(Buffer.concat(back).equals(Buffer.from(bytes))).toBe(true);
        }),
        { numRuns: 10 },
      );
    });

    it('replaces an object', async () => {
      await store.put('replaced', text('a longer first text'));
      await store.put('replaced', text('second'));
      expect(await readAll(await store.get('replaced'))).toBe('second');
      expect(await store.head('replaced')).toEqual({ bytes: 6 });
    });

    it.each([
      [0, 4, '0123'],
      [3, 6, '345'],
      [8, 100, '89'],
      [10, 20, ''],
      [50, 60, ''],
      [4, 4, ''],
    ])('gives the bytes [%i, %i)', async (from, to, expected) => {
      await store.put('range', text('0123456789'));
      expect(await readAll(await store.getRange('range', from, to))).toBe(expected);
    });

    it('says at once that an object is missing', async () => {
      const missing = { code: 'object-missing', kind: 'not-found' };
      await expect(store.get('not/there')).rejects.toMatchObject(missing);
      await expect(store.getRange('not/there', 0, 4)).rejects.toMatchObject(missing);
      await expect(store.getRange('not/there', 4, 4)).rejects.toMatchObject(missing);
      expect(await store.head('not/there')).toBeNull();
    });

    it('deletes, and does not mind to do it twice', async () => {
      await store.put('gone', text('x'));
      await store.delete('gone');
      await store.delete('gone');
      expect(await store.head('gone')).toBeNull();
    });

    it.each([
      ['breaks off', breakingOff, 20],
      ['breaks off, of unknown length', breakingOff, undefined],
      ['breaks off behind its last byte', breakingOff, 5],
      ['is shorter than promised', () => chunksOf('short'), 20],
      ['is longer than promised', () => chunksOf('much too long', ' for that'), 13],
    ])('keeps the old object when the body %s', async (_, body, bytes) => {
      await store.put('kept', text('old'));
      await expect(store.put('kept', body(), bytes === undefined ? {} : { bytes })).rejects.toThrow(
        /went away|was to have/,
      );
      expect(await readAll(await store.get('kept'))).toBe('old');
      expect(await keysOf(store, 'kept')).toEqual(['kept']);
    });

    it('refuses bytes of another length than promised', async () => {
      await expect(store.put('bytes/wrong', text('abc'), { bytes: 4 })).rejects.toMatchObject({
        code: 'length-differs',
      });
      expect(await store.head('bytes/wrong')).toBeNull();
    });

    it('lists by prefix in order of key', async () => {
      for (const key of ['list/b', 'list/a/2', 'list/a/1', 'list/ab', 'listing']) await store.put(key, text(key));
      expect(await keysOf(store, 'list/')).toEqual(['list/a/1', 'list/a/2', 'list/ab', 'list/b']);
      expect(await keysOf(store, 'list/a')).toEqual(['list/a/1', 'list/a/2', 'list/ab']);
      expect(await keysOf(store, 'nothing')).toEqual([]);
    });

    it.each([
      '',
      '/',
      '/etc/passwd',
      '../up',
      'a/../../b',
      'a/./b',
      'a//b',
      'a/',
      '.hidden',
      'a\\b',
      'a~b',
      'a b',
      'ä',
      'a\0b',
      'x'.repeat(201),
    ])('refuses the key %j everywhere', async (key) => {
      const invalid = { code: 'invalid-object-key' };
      await expect(store.put(key, text('x'))).rejects.toMatchObject(invalid);
      await expect(store.get(key)).rejects.toMatchObject(invalid);
      await expect(store.getRange(key, 0, 1)).rejects.toMatchObject(invalid);
      await expect(store.head(key)).rejects.toMatchObject(invalid);
      await expect(store.delete(key)).rejects.toMatchObject(invalid);
    });
  });
}
