import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '#kernel';
import { WORKER } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import { principalOf } from '#identity/tenancy';
import { audit, auditLog, authorOf, BROKER, readAudit } from './index.js';

const admin = principalOf(
  { id: newId('key'), organizationId: newId('organization'), projectId: null, role: 'platform-admin' },
  'platform',
);
const by = authorOf({ principal: admin, requestId: 'req_1', request: { ip: '203.0.113.5' } });

describe.each(specStores)('the audit log, $name', ({ open }) => {
  let spec: SpecStore;
  beforeAll(async () => {
    spec = await open();
  });
  afterAll(() => spec.close());
  const write = (act: Parameters<typeof audit>[1]): Promise<void> =>
    spec.store.transaction(WORKER, (tx) => audit(tx, act));
  const page = { limit: 50 };

  it('holds actor, subject, before and after, amounts as text', async () => {
    const organizationId = newId('organization');
    await write({ by, organizationId, action: 'credit.add', subject: 'txn_1', before: { n: 1n }, after: { n: 2n } });
    const [row] = await readAudit(spec.store, admin, { organizationId }, page);
    expect(row).toMatchObject({
      actorKeyId: admin.keyId,
      actorOrganizationId: admin.organizationId,
      requestId: 'req_1',
      actorAddress: '203.0.113.5',
      action: 'credit.add',
      subject: 'txn_1',
      before: { n: '1' },
      after: { n: '2' },
    });
  });

  it('is not there when the action was undone', async () => {
    const organizationId = newId('organization');
    const undone = spec.store.transaction(WORKER, async (tx) => {
      await audit(tx, { by: BROKER, organizationId, action: 'thing.do', subject: 'x' });
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    expect(await readAudit(spec.store, admin, { organizationId }, page)).toEqual([]);
  });

  it('is read newest first, in pages, by what it names and when', async () => {
    const organizationId = newId('organization');
    for (const subject of ['a', 'b', 'c'])
      await write({ by: BROKER, organizationId, action: `thing.${subject === 'b' ? 'stop' : 'start'}`, subject });
    const all = await readAudit(spec.store, admin, { organizationId }, page);
    expect(all.map((r) => r.id)).toEqual(
      all
        .map((r) => r.id)
        .toSorted()
        .toReversed(),
    );
    expect(all.map((r) => r.subject).toSorted()).toEqual(['a', 'b', 'c']);
    const rest = await readAudit(spec.store, admin, { organizationId }, { limit: 2, after: [all[0]?.id] });
    expect(rest.map((r) => r.id)).toEqual([all[1]?.id, all[2]?.id]);
    const stops = await readAudit(spec.store, admin, { organizationId, action: 'thing.stop' }, page);
    expect(stops.map((r) => r.subject)).toEqual(['b']);
    const times = all.map((r) => r.at);
    const [first, last] = [Math.min(...times), Math.max(...times)];
    const within = (fromMs: number, toMs: number) =>
      readAudit(spec.store, admin, { organizationId, fromMs, toMs }, page);
    expect(await within(first, last + 1)).toHaveLength(3);
    expect(await within(last + 1, last + 2)).toEqual([]);
    expect(await within(first - 1, first)).toEqual([]);
  });

  it('is the own one for a tenant, and never changed', async () => {
    const [mine, other] = [newId('organization'), newId('organization')];
    for (const organizationId of [mine, other])
      await write({ by, organizationId, action: 'organization.change', subject: organizationId });
    const tenant = principalOf({ id: 'key_1', organizationId: mine, projectId: null, role: 'admin' }, 'tenant');
    expect((await readAudit(spec.store, tenant, {}, page)).map((r) => r.organizationId)).toEqual([mine]);
    if (!spec.postgres) return;
    const foreign = spec.store.transaction(tenant.actor, (tx) =>
      audit(tx, { by: BROKER, organizationId: other, action: 'thing.do', subject: 'x' }),
    );
    await expect(foreign).rejects.toThrow(/row-level security/);
    const change = spec.store.transaction(WORKER, (tx) =>
      tx.update(auditLog, { organizationId: mine }, { action: 'x.y' }),
    );
    await expect(change).rejects.toThrow(/permission denied/);
    const { owner } = spec.postgres;
    for (const statement of ['delete from audit_log', "update audit_log set action = 'x.y'", 'truncate audit_log']) {
      await owner.query('alter table audit_log no force row level security');
      await expect(owner.query(statement)).rejects.toThrow(/append-only/);
    }
  });
});
