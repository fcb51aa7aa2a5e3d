import { Quotas, quotaUses } from '#money/quotas';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { ManualClock, SeededRandom } from '#kernel';
import { MemoryStore, WORKER, type Actor } from '#platform/database';
import { MemoryObjects } from '#testing/world';
import { Artifacts, artifacts } from './index.js';

const of = { organizationId: 'org_1', projectId: 'prj_1', name: 'in.jsonl', mediaType: 'text/plain' };
let store: MemoryStore;
let objects: MemoryObjects;
let room: Artifacts;

beforeEach(() => {
  const clock = new ManualClock();
  [store, objects] = [new MemoryStore(clock), new MemoryObjects()];
  room = new Artifacts(store, objects, clock, new SeededRandom(1), new Quotas(clock, new SeededRandom(1)));
});

describe('an artifact', () => {
  it('is stored as it came, in pieces or whole, with its size and hash', async () => {
    async function* pieces() {
      yield Buffer.from('Grüße ');
      yield Buffer.from('🗝️');
    }
    const whole = Buffer.from('Grüße 🗝️');
    for (const body of [pieces(), whole]) {
      const row = await room.put(WORKER, of, body);
      expect(row).toMatchObject({
        ...of,
        bytes: whole.length,
        sha256: createHash('sha256').update(whole).digest('hex'),
      });
      expect(Buffer.from(await room.bytes(row))).toEqual(whole);
      expect(row.objectKey).toBe(`artifacts/org_1/${row.id}`);
    }
    expect(store.rows(artifacts)).toHaveLength(2);
  });

  it('has no row when its bytes did not arrive', async () => {
    async function* broken() {
      yield Buffer.from('half');
      throw new Error('cut off');
    }
    await expect(room.put(WORKER, of, broken())).rejects.toThrow('cut off');
    expect([store.rows(artifacts), objects.all.size]).toEqual([[], 0]);
  });

  it('has no row when what belongs to it fails', async () => {
    const also = () => Promise.reject(new Error('taken over'));
    await expect(room.put(WORKER, of, Buffer.from('x'), also)).rejects.toThrow('taken over');
    expect(store.rows(artifacts)).toEqual([]);
  });

  it('is found by its own organization and project only, by the repository alone', async () => {
    const { id } = await room.put(WORKER, of, Buffer.from('x'));
    const as = (organizationId: string, projectIds: readonly string[] | 'all'): Actor => ({
      as: 'tenant',
      organizationId,
      projectIds,
    });
    for (const actor of [WORKER, as('org_1', 'all'), as('org_1', ['prj_1'])]) {
      expect((await room.get(actor, id)).id).toBe(id);
    }
    for (const actor of [as('org_2', 'all'), as('org_1', ['prj_2']), as('org_1', []), as('org_2', ['prj_1'])])
      await expect(room.get(actor, id)).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('is deleted once, when nothing needs it: its row stays, its bytes go, its storage is given back', async () => {
    const quotas = new Quotas(new ManualClock(), new SeededRandom(1));
    let needed: string | null = 'job_1';
    const clock = new ManualClock();
    room = new Artifacts(store, objects, clock, new SeededRandom(2), quotas, () => Promise.resolve(needed));
    const { id } = await room.put(WORKER, of, Buffer.from('xyz'));
    expect(store.rows(quotaUses)).toHaveLength(1);
    const stranger: Actor = { as: 'tenant', organizationId: 'org_2', projectIds: 'all' };
    await expect(room.remove(stranger, id)).rejects.toMatchObject({ kind: 'not-found' });
    await expect(room.remove(WORKER, id)).rejects.toMatchObject({ code: 'artifact-in-use' });
    expect([objects.all.size, store.rows(artifacts)[0]?.deletedAt]).toEqual([1, null]);
    needed = null;
    const gone = await room.remove(WORKER, id);
    expect(gone.deletedAt).toBeGreaterThanOrEqual(gone.createdAt);
    expect(store.rows(artifacts)).toEqual([gone]);
    expect([objects.all.size, store.rows(quotaUses)]).toEqual([0, []]);
    await expect(room.remove(WORKER, id)).rejects.toMatchObject({ kind: 'not-found' });
    await expect(room.get(WORKER, id)).rejects.toMatchObject({ kind: 'not-found' });
  });
});
