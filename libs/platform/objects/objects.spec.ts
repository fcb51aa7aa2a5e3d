import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { DAY, ManualClock } from '#kernel';
import { FolderStore } from './folder-store.js';
import { openObjectStore, type ObjectStore } from './index.js';
import { objectStoreContract } from './object-store.contract.js';
import { startS3StandIn, STAND_IN_CREDENTIALS } from './s3-stand-in.js';
import { S3Store } from './s3-store.js';

async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-objects-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function s3(): Promise<{ url: string; close(): Promise<void> }> {
  const server = await startS3StandIn('artifacts');
  return { url: `s3://artifacts/berth?endpoint=${server.endpoint}`, close: () => server.close() };
}

objectStoreContract('a folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-objects-'));
  const store = await openObjectStore(`file:${folder}`);
  return { store, close: () => rm(folder, { recursive: true, force: true }) };
});

objectStoreContract('a bucket', async () => {
  const server = await s3();
  const store = await openObjectStore(server.url, STAND_IN_CREDENTIALS);
  return {
    store,
    close: async () => {
      await store.close();
      await server.close();
    },
  };
});

describe('a folder', () => {
  it('leaves no drafts behind, and removes those of killed processes after a day', () =>
    withFolder(async (folder) => {
      const clock = new ManualClock(Date.UTC(2026, 5, 1));
      const store: ObjectStore = await FolderStore.open(folder, clock);
      await store.put('a/b', Buffer.from('x'));
      expect(await readdir(join(folder, 'drafts'))).toEqual([]);
      for (const [name, age] of [
        ['old', DAY + 1_000],
        ['young', DAY - 1_000],
      ] as const) {
        const file = join(folder, 'drafts', name);
        await writeFile(file, 'half');
        const at = new Date(clock.now() - age);
        await utimes(file, at, at);
      }
      await FolderStore.open(folder, clock);
      expect(await readdir(join(folder, 'drafts'))).toEqual(['young']);
    }));

  it('tells apart a key and one below it', () =>
    withFolder(async (folder) => {
      const store = await openObjectStore(pathToFileURL(folder).href);
      await store.put('a', Buffer.from('1'));
      await store.put('a/b', Buffer.from('22'));
      expect(await store.head('a')).toEqual({ bytes: 1 });
      expect(await store.head('a/b')).toEqual({ bytes: 2 });
    }));

  it('shows an object only when it is whole, whoever writes at once', () =>
    withFolder(async (folder) => {
      const store = await openObjectStore(`file:${folder}`);
      const bodies = Array.from({ length: 8 }, (_, i) => Buffer.alloc(100_000, i));
      await Promise.all(bodies.map((body) => store.put('same', body)));
      const found = Buffer.concat((await (await store.get('same')).toArray()) as Buffer[]);
      expect(bodies.some((body) => body.equals(found))).toBe(true);
    }));
});

describe('a bucket', () => {
  it('refuses a long body of unknown length instead of holding it in memory', async () => {
    const location = {
      bucket: 'b',
      prefix: '',
      region: 'us-east-1',
      forcePathStyle: true,
      endpoint: 'http://127.0.0.1:1',
    };
    const store = new S3Store(location, STAND_IN_CREDENTIALS, 10);
    async function* long(): AsyncGenerator<Uint8Array> {
      for (;;) yield Buffer.alloc(4);
    }
    await expect(store.put('k', long())).rejects.toMatchObject({ code: 'length-required', kind: 'too-large' });
  });

  it('is not readable with a wrong secret', async () => {
    const server = await s3();
    try {
      const store = await openObjectStore(server.url, { ...STAND_IN_CREDENTIALS, secretAccessKey: 'wrong' });
      await expect(store.put('k', Buffer.from('x'))).rejects.toThrow(/signature/i);
      await expect(store.check()).rejects.toThrow();
    } finally {
      await server.close();
    }
  });
});

describe('openObjectStore', () => {
  it.each(['ftp://x', 's3://', 's3://b?regoin=x', 's3://b?endpoint=nowhere', 'nonsense'])('refuses %s', async (url) => {
    await expect(openObjectStore(url)).rejects.toMatchObject({ code: 'invalid-objects-url' });
  });
});
