import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SeededRandom } from '#kernel';
import { WORKER, type Actor, type Tx } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import { MemoryObjects } from '#testing/world';
import { Quotas } from '#money/quotas';
import { Artifacts, artifacts, keepArtifacts, type NeededBy } from './index.js';

const postgres = specStores.filter(({ name }) => name === 'PostgreSQL');

describe.each(postgres)('what names files and what deletes them, on $name', ({ open }) => {
  let on: SpecStore;
  let seq = 0;
  beforeAll(async () => {
    on = await open();
  });
  afterAll(() => on.close());

  const tenant = (organizationId: string): Actor => ({ as: 'tenant', organizationId, projectIds: ['prj_1'] });
  const row = (organizationId: string, id = `art_${++seq}`, name = 'in.jsonl') => ({
    ...{ id, organizationId, projectId: 'prj_1', name, mediaType: 'text/plain', bytes: 1, sha256: 'x', objectKey: id },
    ...{ createdAt: on.clock.now() - 60_000, deletedAt: null },
  });
  const add = async (organizationId: string, n: number): Promise<string[]> => {
    const rows = Array.from({ length: n }, () => row(organizationId));
    await on.store.transaction(WORKER, (tx) => tx.insert(artifacts, rows));
    return rows.map(({ id }) => id);
  };
  /** Stands for a job: a row that names the file, in the transaction that looked whether it is there. */
  const name = async (tx: Tx, organizationId: string, id: string): Promise<boolean> => {
    const there = await keepArtifacts(tx, organizationId, [id]);
    if (!there.has(`prj_1/${id}`)) return false;
    await tx.insert(artifacts, row(organizationId, `use_${++seq}`, `reads ${id}`));
    return true;
  };
  const named: NeededBy = async (tx, { id }) => (await tx.first(artifacts, { name: `reads ${id}` }))?.id ?? null;
  const room = (neededBy: NeededBy = named): Artifacts => {
    const random = new SeededRandom(1);
    return new Artifacts(on.store, new MemoryObjects(), on.clock, random, new Quotas(on.clock, random), neededBy);
  };
  const remove = (id: string, neededBy?: NeededBy): Promise<'deleted' | 'kept'> =>
    room(neededBy)
      .remove(WORKER, id)
      .then(
        () => 'deleted',
        () => 'kept',
      );

  const locks = async (granted: boolean): Promise<number> => {
    const { rows } =
      (await on.postgres?.owner.query<{ n: number }>(
        `select count(*)::int as n from pg_locks where locktype = 'advisory' and granted = $1
            and database = (select oid from pg_database where datname = current_database())`,
        [granted],
      )) ?? {};
    return rows?.[0]?.n ?? 0;
  };
  const somebodyWaits = async (): Promise<void> => {
    while ((await locks(false)) === 0) continue;
  };

  it('take few locks for many files', async () => {
    const ids = await add('org_many', 2_000);
    await on.store.transaction(tenant('org_many'), async (tx) => {
      expect((await keepArtifacts(tx, 'org_many', ids)).size).toBe(2_000);
      expect(await locks(true)).toBeLessThanOrEqual(64);
    });
  });

  it('wait for each other: a file that a job is being written for is not deleted', async () => {
    const [id = ''] = await add('org_1', 1);
    const gone = await on.store.transaction(tenant('org_1'), async (tx) => {
      expect(await name(tx, 'org_1', id)).toBe(true);
      const going = remove(id);
      await somebodyWaits();
      return { going };
    });
    expect(await gone.going).toBe('kept');
  });

  it('wait for each other: no job is written for a file that is being deleted, and other tenants are not held up', async () => {
    const [id = ''] = await add('org_1', 1);
    const [other = ''] = await add('org_2', 1);
    let written: Promise<boolean> | undefined;
    const gone = await remove(id, async () => {
      const ofOthers = await on.store.transaction(tenant('org_2'), (tx) => name(tx, 'org_2', other));
      expect(ofOthers).toBe(true);
      written = on.store.transaction(tenant('org_1'), (tx) => name(tx, 'org_1', id));
      await somebodyWaits();
      return null;
    });
    expect([gone, await written]).toEqual(['deleted', false]);
  });

  it('agree, however many come at once', async () => {
    const ids = await add('org_1', 20);
    const ends = await Promise.all(
      ids.map(async (id) => {
        const wants = [id, ids[0] ?? id];
        const submit = on.store.transaction(tenant('org_1'), async (tx) => {
          await keepArtifacts(tx, 'org_1', wants);
          return name(tx, 'org_1', id);
        });
        return Promise.all([submit, remove(id)]);
      }),
    );
    for (const [used, end] of ends) expect(used).toBe(end === 'kept');
  });
});
