import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HOUR, newId, SeededRandom } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { artifacts, keptFiles } from './index.js';

describe.each(specStores)('what metering is told of files, $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, new SeededRandom('kept'));
  });
  afterAll(() => opened.close());

  it('is bytes times the time they were there, by project, up to an instant', async () => {
    const [tenant, other] = [await till.tenant('0'), await till.tenant('0')];
    const second = { ...tenant, projectId: newId('project') };
    const start = Date.UTC(2026, 9, 1);
    const file = (of: typeof tenant, bytes: number, fromH: number, toH: number | null) => {
      const id = newId('artifact');
      const deletedAt = toH === null ? null : start + toH * HOUR;
      const rest = { name: 'f', mediaType: 'text/plain', sha256: 'x', objectKey: id, deletedAt };
      return { id, ...of, bytes, createdAt: start + fromH * HOUR, ...rest };
    };
    await till.tx((tx) =>
      tx.insert(artifacts, [
        file(tenant, 1_000, 0, null),
        file(tenant, 500, 2, 3),
        file(tenant, 77, 1, 1),
        file(second, 9_000_000_000_000, 1, 10),
        file(other, 5, 4, null),
      ]),
    );
    const { organizationId, projectId } = tenant;
    const until = async (h: number, id = organizationId) => [
      ...(await till.tx((tx) => keptFiles.byteMs(tx, id, start + h * HOUR))),
    ];
    const hour = BigInt(HOUR);
    expect(await until(0)).toEqual([]);
    expect(await until(1)).toEqual([[projectId, 1_000n * hour]]);
    const at = new Map(await until(2.5));
    expect(at.get(projectId)).toBe(2_500n * hour + 250n * hour);
    expect(at.get(second.projectId)).toBe((9_000_000_000_000n * hour * 3n) / 2n);
    expect(new Map(await until(100)).get(projectId)).toBe(100_500n * hour);
    expect(new Map(await until(100)).get(second.projectId)).toBe(9n * 9_000_000_000_000n * hour);
    expect(await until(4, other.organizationId)).toEqual([]);
    const ids = [organizationId, other.organizationId].sort();
    const owners = (after: string, limit: number) => till.tx((tx) => keptFiles.owners(tx, { after, limit }));
    expect(await owners('', 10)).toEqual(ids);
    expect(await owners('', 1)).toEqual(ids.slice(0, 1));
    expect(await owners(ids[0] ?? '', 10)).toEqual(ids.slice(1));
    expect(await owners(ids[1] ?? '', 10)).toEqual([]);
    expect(await till.tx((tx) => keptFiles.since(tx, [...ids, 'org_none']))).toEqual(
      new Map([
        [organizationId, start],
        [other.organizationId, start + 4 * HOUR],
      ]),
    );
  });
});
