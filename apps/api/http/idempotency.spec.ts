import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, MINUTE } from '#kernel';
import {
  forgetOldIdempotencyKeys,
  idempotencyKeys,
  projects,
  Tenancy,
  type IdempotencyRow,
  type Principal,
} from '#identity/tenancy';
import { WORKER } from '#platform/database';
import { deriveKey, keyEncryptionKey, Vault } from '#platform/secrets';
import { TestApi, type TestTenant } from '../testing/test-api.js';
import { Idempotency, type IdempotentRun, type StoredAnswer } from './idempotency.js';

let api: TestApi;
let tenant: TestTenant;
let who: Principal;
let keys = 0;

beforeAll(async () => {
  api = await TestApi.start();
  tenant = await api.tenant();
  who = await api.app.get(Tenancy).authenticate(tenant.key);
});
afterAll(() => api.close());

const freshKey = (): string => `key-${++keys}`;
const create = (name: string, idempotencyKey: string, key = tenant.key) =>
  api.call('POST /v1/projects', { key, body: { name }, headers: { 'idempotency-key': idempotencyKey } });

/** The table and its keeper, as another process would see them. */
const anotherProcess = (): Idempotency => {
  const { secret, store } = api.ground;
  return new Idempotency(store, new Vault([keyEncryptionKey(secret)]), deriveKey(secret, 'idempotency-digest'));
};
const begin = (key: string, request: unknown = {}): Promise<IdempotentRun | StoredAnswer> =>
  anotherProcess().begin(who, key, 'POST /v1/things', request);
const running = async (key: string, request?: unknown): Promise<IdempotentRun> => {
  const begun = await begin(key, request);
  if (!('finish' in begun)) throw new Error('there was an answer already');
  return begun;
};
/** As if everything under this key had happened that long ago. */
const age = (key: string, ms: number) =>
  api.ground.store.transaction(WORKER, async (tx) => {
    const id = { organizationId: tenant.organizationId, key: `*/${key}` };
    const row = await tx.first(idempotencyKeys, id);
    await tx.update(idempotencyKeys, id, { createdAt: (row?.createdAt ?? 0) - ms });
  });
const stored = (key: string): Promise<IdempotencyRow | null> =>
  api.ground.store.transaction(WORKER, (tx) =>
    tx.first(idempotencyKeys, { organizationId: tenant.organizationId, key: `*/${key}` }),
  );
const projectsNamed = (name: string) =>
  api.ground.store.transaction(WORKER, async (tx) => (await tx.find(projects, { name })).length);

describe('a creating request with an Idempotency-Key', () => {
  it('is answered again as it was answered first', async () => {
    const key = freshKey();
    const first = await create('once', key);
    const again = await create('once', key);
    expect([first.status, first.headers['idempotency-replayed']]).toEqual([201, undefined]);
    expect([again.status, again.headers['idempotency-replayed']]).toEqual([201, 'true']);
    expect(again.body).toEqual(first.body);
    expect(await projectsNamed('once')).toBe(1);
  });

  it('does not care for the order of fields', async () => {
    const key = freshKey();
    const send = (body: string) =>
      api.call('POST /v1/keys', { key: tenant.key, body, headers: { 'idempotency-key': key } });
    const first = await send('{"name":"a","role":"admin"}');
    expect((await send('{ "role":"admin", "name":"a" }')).body).toEqual(first.body);
  });

  it('is refused for another body and for another route', async () => {
    const key = freshKey();
    await create('mine', key);
    expect((await create('other', key)).body['code']).toBe('idempotency-key-reused');
    const elsewhere = await api.call('POST /v1/keys', {
      key: tenant.key,
      body: { name: 'mine', role: 'admin' },
      headers: { 'idempotency-key': key },
    });
    expect([elsewhere.status, elsewhere.body['code']]).toEqual([422, 'idempotency-key-reused']);
    expect(await projectsNamed('other')).toBe(0);
  });

  it('creates once, however many arrive at the same moment', async () => {
    const key = freshKey();
    const answers = await Promise.all(Array.from({ length: 20 }, () => create('crowd', key)));
    expect(await projectsNamed('crowd')).toBe(1);
    for (const { status, body } of answers) {
      if (status !== 201)
        expect([status, body['code'], body['retryable']]).toEqual([409, 'idempotency-in-progress', true]);
    }
    expect((await create('crowd', key)).headers['idempotency-replayed']).toBe('true');
  });

  it('frees the key when it fails', async () => {
    const key = freshKey();
    await create('taken', freshKey());
    expect((await create('taken', key)).status).toBe(409);
    expect(await stored(key)).toBeNull();
    expect((await create('not taken', key)).status).toBe(201);
  });

  it('stores no key for a request that was not even valid', async () => {
    const key = freshKey();
    expect((await create('', key)).status).toBe(400);
    expect(await stored(key)).toBeNull();
  });

  it.each(['', 'with space', 'x'.repeat(201), 'Ümlaut'])('is refused when the key is %j', async (key) => {
    const answer = await create('never', key);
    expect([answer.status, answer.body['code']]).toEqual([400, 'invalid-idempotency-key']);
  });

  it('is not the same request for another tenant, nor for a key of another project', async () => {
    const key = freshKey();
    const mine = await create('shared', key);
    const other = await api.tenant('Other');
    const theirs = await create('shared', key, other.key);
    expect(theirs.headers['idempotency-replayed']).toBeUndefined();
    expect(theirs.body['organizationId']).not.toBe(mine.body['organizationId']);
    const { actor } = who;
    const oneProject: Principal = {
      ...who,
      projectIds: ['prj_x'],
      actor: { ...actor, projectIds: ['prj_x'] } as never,
    };
    expect(await anotherProcess().begin(oneProject, key, 'POST /v1/projects', {})).toHaveProperty('finish');
  });

  it('keeps a shown-once secret sealed, and still shows it to whoever repeats the request', async () => {
    const key = freshKey();
    const send = () =>
      api.call('POST /v1/keys', {
        key: tenant.key,
        body: { name: 's', role: 'admin' },
        headers: { 'idempotency-key': key },
      });
    const secret = String((await send()).body['secret']);
    expect(JSON.stringify(await stored(key))).not.toContain(secret.slice(14));
    expect((await send()).body['secret']).toBe(secret);
  });
});

describe('across processes', () => {
  it('one runs, and the others are told to wait, then get its answer', async () => {
    const key = freshKey();
    const run = await running(key);
    await expect(begin(key)).rejects.toMatchObject({ code: 'idempotency-in-progress' });
    await run.finish({ status: 201, body: { id: 1 } });
    expect(await begin(key)).toEqual({ status: 201, body: { id: 1 } });
  });

  it('a crashed run may be taken over after a minute and not before', async () => {
    const MARGIN = 5_000;
    for (let taken = true; taken;) {
      const key = freshKey();
      const began = performance.now();
      await running(key);
      await age(key, MINUTE - MARGIN);
      const early = await begin(key).catch((error: unknown) => error);
      // What took longer than the margin was rightly taken over, and says nothing.
      taken = performance.now() - began >= MARGIN;
      if (!taken) expect(early).toMatchObject({ code: 'idempotency-in-progress' });
    }
    const key = freshKey();
    await running(key);
    await age(key, MINUTE);
    const later = await running(key);
    await later.finish({ status: 201, body: 'second' });
    expect(await begin(key)).toEqual({ status: 201, body: 'second' });
  });

  it('a run that was only slow cannot finish once it was taken over: its transaction is undone', async () => {
    const key = freshKey();
    const slow = await running(key);
    await age(key, MINUTE);
    const later = await running(key);
    const { store } = api.ground;
    const late = store.transaction(who.actor, async (tx) => {
      await tx.insert(projects, { id: 'prj_late', organizationId: tenant.organizationId, name: 'late', createdAt: 0 });
      await slow.finishIn(tx, { status: 201, body: 'first' });
    });
    await expect(late).rejects.toThrow(/changed by somebody else/);
    expect(await projectsNamed('late')).toBe(0);
    await slow.abandon();
    await later.finish({ status: 201, body: 'second' });
    expect(await begin(key)).toEqual({ status: 201, body: 'second' });
  });

  it('an answer that was stored with the creation outlives a crash right after it', async () => {
    const key = freshKey();
    const run = await running(key);
    await api.ground.store.transaction(who.actor, (tx) => run.finishIn(tx, { status: 201, body: 'made' }));
    await age(key, 2 * MINUTE);
    expect(await begin(key)).toEqual({ status: 201, body: 'made' });
    // What the process would still have done had it lived changes nothing.
    await run.finish({ status: 201, body: 'again' });
    await run.abandon();
    expect(await begin(key)).toEqual({ status: 201, body: 'made' });
  });

  it('a key is forgotten after a day', async () => {
    const [old, young] = [freshKey(), freshKey()];
    for (const key of [old, young]) await (await running(key)).finish({ status: 201, body: key });
    await age(old, DAY);
    await age(young, DAY - MINUTE);
    expect(await begin(young)).toEqual({ status: 201, body: young });
    const again = await running(old, 'another request');
    await again.finish({ status: 201, body: 'new' });
    await age(old, DAY);
    await forgetOldIdempotencyKeys(api.ground.store);
    expect([await stored(old), (await stored(young)) !== null]).toEqual([null, true]);
  });
});
