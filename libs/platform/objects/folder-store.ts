import { createHash, randomBytes } from 'node:crypto';
import { access, constants, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { DAY, systemClock, type Clock } from '#kernel';
import { measured } from './measured.js';
import { checkObjectKey } from './object-key.js';
import {
  objectMissing,
  type ObjectBody,
  type ObjectStore,
  type PutOptions,
  type StoredObject,
} from './object-store.js';

/** Drafts of processes that were killed; no upload takes longer. */
const DRAFT_MAX_AGE_MS = DAY;
const DRAFTS = 'drafts';

/**
 * Objects as files: `<folder>/<2 hexadecimal digits>/<key with ~ for />`. The shard comes from a hash of the key, so no
 * folder grows beyond 1/256 of all. A draft is synced and then renamed, so that a crash leaves the old object or the new.
 */
export class FolderStore implements ObjectStore {
  private constructor(
    private readonly folder: string,
    private readonly drafts: string,
  ) {}

  static async open(folder: string, clock: Clock = systemClock): Promise<FolderStore> {
    const drafts = join(folder, DRAFTS);
    await mkdir(drafts, { recursive: true });
    for (const name of await readdir(drafts)) {
      const file = join(drafts, name);
      const age = await stat(file).then(
        (found) => clock.now() - found.mtimeMs,
        // Another process has finished with it.
        () => 0,
      );
      if (age > DRAFT_MAX_AGE_MS) await rm(file, { force: true });
    }
    return new FolderStore(folder, drafts);
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<StoredObject> {
    const place = this.placeOf(key);
    const draft = join(this.drafts, randomBytes(12).toString('hex'));
    const { chunks, result } = measured(body, options.bytes);
    try {
      const file = await open(draft, 'wx');
      try {
        for await (const chunk of chunks) await file.writeFile(chunk);
        await file.sync();
      } finally {
        await file.close();
      }
      await mkdir(place.shard, { recursive: true });
      await rename(draft, place.file);
      await syncFolder(place.shard);
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
    return result();
  }

  async get(key: string): Promise<Readable> {
    const file = await this.openObject(key);
    return file.createReadStream();
  }

  async getRange(key: string, from: number, to: number): Promise<Readable> {
    const file = await this.openObject(key);
    if (to > from) return file.createReadStream({ start: from, end: to - 1 });
    await file.close();
    return Readable.from([]);
  }

  async head(key: string): Promise<{ bytes: number } | null> {
    try {
      return { bytes: (await stat(this.placeOf(key).file)).size };
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  async delete(key: string): Promise<void> {
    await rm(this.placeOf(key).file, { force: true });
  }

  async *list(prefix: string): AsyncGenerator<{ key: string; bytes: number }> {
    const keys: string[] = [];
    for (const shard of await readdir(this.folder)) {
      if (shard === DRAFTS) continue;
      for (const name of await readdir(join(this.folder, shard))) keys.push(name.replaceAll('~', '/'));
    }
    for (const key of keys.filter((key) => key.startsWith(prefix)).sort()) {
      const found = await this.head(key);
      if (found) yield { key, bytes: found.bytes };
    }
  }

  async check(): Promise<void> {
    await access(this.drafts, constants.W_OK);
  }

  async close(): Promise<void> {
    // Nothing is held open between calls.
  }

  private async openObject(key: string) {
    try {
      return await open(this.placeOf(key).file, 'r');
    } catch (error) {
      throw isMissing(error) ? objectMissing(key) : error;
    }
  }

  private placeOf(key: string): { shard: string; file: string } {
    checkObjectKey(key);
    const shard = join(this.folder, createHash('sha256').update(key).digest('hex').slice(0, 2));
    return { shard, file: join(shard, key.replaceAll('/', '~')) };
  }
}

function isMissing(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT';
}

/** A rename lasts through a power cut only when its folder is synced too. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
