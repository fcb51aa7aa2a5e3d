import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { HOUR, ManualClock, MINUTE, SeededRandom } from '#kernel';
import { MemoryStore, openStore, WORKER, type OpenStore, type Store } from '#platform/database';
import { deriveKey, newSecretToken } from '#platform/secrets';
import { patient, testDatabase, type TestDatabase } from '#testing';
import { apiKeys, installs, organizations, Tenancy, type Principal } from './index.js';

const pepper = deriveKey('the secret of this installation, long enough', 'token-pepper');
const refusal = (code: string) => expect.objectContaining({ name: 'DomainError', code });

let db: TestDatabase;
let opened: OpenStore;
beforeAll(async () => {
  db = await testDatabase();
  opened = await openStore(db.ownerUrl, db.secret, { poolSize: 4, name: 'tenancy-spec', ...patient });
});
afterAll(async () => {
  await opened.close();
  await db.close();
});

/** Counts what is asked of a store. */
class CountedStore implements Store {
  transactions = 0;
  constructor(private readonly inner: Store) {}
  transaction: Store['transaction'] = (actor, work) => {
    this.transactions++;
    return this.inner.transaction(actor, work);
  };
}

describe.each(['PostgreSQL', 'memory'] as const)('tenancy on %s', (kind) => {
  const clock = new ManualClock();
  let store: CountedStore;
  let tenancy: Tenancy;
  let seed = 0;
  const another = (): Tenancy => new Tenancy({ store, pepper, clock, random: new SeededRandom(`${kind}-${++seed}`) });

  beforeAll(() => {
    store = new CountedStore(kind === 'memory' ? new MemoryStore(clock) : opened.store);
  });
  beforeEach(() => {
    // The database's clock is the real one; key expiry and belief follow this one.
    clock.set(Math.max(clock.now() + 10_000, Date.now()));
    tenancy = another();
  });

  const tenant = async (name: string) => {
    const made = await tenancy.createOrganization({ name, kind: 'tenant', keyName: 'root' });
    const secret = made.key?.secret ?? '';
    return { ...made, secret, principal: await tenancy.authenticate(secret) };
  };

  it('gives the first platform key once, also to two processes that boot at once', async () => {
    const made = await Promise.all([tenancy.ensureInstall(), another().ensureInstall()]);
    const again = await tenancy.ensureInstall();
    expect(made.map((install) => install.platformKey !== null).sort()).toEqual([false, true]);
    expect(again).toEqual({ id: made[0]?.id, platformKey: null });
    const rows = await store.transaction(WORKER, async (tx) => [
      await tx.find(installs, {}),
      await tx.find(organizations, { kind: 'platform' }),
    ]);
    expect(rows.map((r) => r.length)).toEqual([1, 1]);
    const first = made.find((install) => install.platformKey !== null)?.platformKey ?? '';
    expect(await tenancy.authenticate(first)).toMatchObject({ role: 'platform-admin', actor: { as: 'worker' } });
    const next = await tenancy.issuePlatformKey('for the operator who lost the first');
    expect(await tenancy.authenticate(next)).toMatchObject({ organizationKind: 'platform', projectIds: 'all' });
  });

  it('gives a tenant a project and a key for all of it', async () => {
    const { organization, project, principal } = await tenant('Acme');
    expect(project).toMatchObject({ name: 'default', organizationId: organization.id });
    expect(principal).toMatchObject({
      role: 'admin',
      projectIds: 'all',
      actor: { as: 'tenant', organizationId: organization.id, projectIds: 'all' },
    });
  });

  it('keeps only a hash, and shows only a beginning', async () => {
    const { principal, secret, key } = await tenant('Hashed');
    const [row] = await store.transaction(WORKER, (tx) => tx.find(apiKeys, { id: principal.keyId }));
    expect(JSON.stringify(row)).not.toContain(secret);
    expect(JSON.stringify(row)).not.toContain(secret.slice(-30));
    expect(secret.startsWith(key?.key.prefix ?? 'x')).toBe(true);
    expect(row?.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it('refuses a mistyped key without a query', async () => {
    const { secret } = await tenant('Typo');
    store.transactions = 0;
    const wrong = [
      secret.slice(0, -1),
      `${secret}x`,
      secret.replace(/.$/, (c) => (c === 'a' ? 'b' : 'a')),
      '',
      'berth_project_',
    ];
    for (const text of wrong) await expect(tenancy.authenticate(text)).rejects.toEqual(refusal('invalid-key'));
    expect(store.transactions).toBe(0);
  });

  it('takes the same way for an unknown prefix and for a wrong secret: one look-up', async () => {
    const { secret } = await tenant('Guess');
    const unknown = newSecretToken('project');
    // Same shown prefix as a real key, other secret.
    let samePrefix = newSecretToken('project', new SeededRandom(1));
    for (let i = 2; samePrefix.slice(0, 15) !== secret.slice(0, 15) && i < 400; i++) {
      samePrefix = newSecretToken('project', new SeededRandom(i));
    }
    expect(samePrefix.slice(0, 15)).toBe(secret.slice(0, 15));
    const outcomes: unknown[] = [];
    for (const text of [unknown, samePrefix]) {
      store.transactions = 0;
      outcomes.push(await tenancy.authenticate(text).catch((error: Error) => [error.message, store.transactions]));
    }
    expect(outcomes[0]).toEqual(outcomes[1]);
    expect(outcomes[0]).toEqual([expect.any(String), 1]);
  });

  it("does not know another installation's key, though its row were copied here", async () => {
    const { secret } = await tenant('Elsewhere');
    const other = new Tenancy({ store, pepper: deriveKey('another secret, also long enough!', 'token-pepper'), clock });
    await expect(other.authenticate(secret)).rejects.toEqual(refusal('invalid-key'));
  });

  it('takes no host or enrolment token for an API key', async () => {
    for (const kindOfToken of ['host', 'enrol'] as const) {
      await expect(tenancy.authenticate(newSecretToken(kindOfToken))).rejects.toEqual(refusal('invalid-key'));
    }
  });

  it('refuses a key from the moment it expires', async () => {
    const { principal } = await tenant('Expiring');
    const expiresAt = clock.now() + HOUR;
    const { secret } = await tenancy.createKey(principal, { name: 'short', role: 'admin', expiresAt });
    clock.set(expiresAt - 1);
    await tenancy.authenticate(secret);
    clock.set(expiresAt);
    await expect(tenancy.authenticate(secret)).rejects.toEqual(refusal('key-expired'));
  });

  it('revokes at once here and within a second in every other process', async () => {
    const { principal } = await tenant('Revoking');
    const { secret, key } = await tenancy.createKey(principal, { name: 'leaked', role: 'admin' });
    const elsewhere = another();
    await elsewhere.authenticate(secret);
    await tenancy.authenticate(secret);
    await tenancy.revokeKey(principal, key.id);
    await expect(tenancy.authenticate(secret)).rejects.toEqual(refusal('key-revoked'));
    clock.advance(999);
    await expect(elsewhere.authenticate(secret)).rejects.toEqual(refusal('key-revoked'));
    const again = await tenancy.revokeKey(principal, key.id);
    expect(again.revokedAt).not.toBeNull();
  });

  it('believes a key for half a second, so that a burst costs one look-up', async () => {
    const { secret } = await tenant('Burst');
    clock.advance(1_000);
    store.transactions = 0;
    await Promise.all(Array.from({ length: 50 }, () => tenancy.authenticate(secret)));
    await tenancy.authenticate(secret);
    expect(store.transactions).toBe(1);
    clock.advance(500);
    await tenancy.authenticate(secret);
    expect(store.transactions).toBe(2);
  });

  it('refuses the keys of a suspended organization, and takes them again when it is lifted', async () => {
    const { organization, secret } = await tenant('Suspended');
    await tenancy.setOrganizationState(organization.id, 'suspended');
    clock.advance(1_000);
    await expect(tenancy.authenticate(secret)).rejects.toEqual(refusal('organization-suspended'));
    await tenancy.setOrganizationState(organization.id, 'active');
    clock.advance(1_000);
    await tenancy.authenticate(secret);
  });

  it('never suspends the platform itself', async () => {
    await tenancy.ensureInstall();
    const [platform] = await store.transaction(WORKER, (tx) => tx.find(organizations, { kind: 'platform' }));
    await expect(tenancy.setOrganizationState(platform?.id ?? '', 'suspended')).rejects.toEqual(refusal('not-found'));
  });

  it('writes the time of last use at most once a minute', async () => {
    const { secret, principal } = await tenant('Used');
    const lastUse = async (): Promise<number> =>
      (await store.transaction(WORKER, (tx) => tx.first(apiKeys, { id: principal.keyId })))?.lastUsedAt ?? -1;
    const first = await lastUse();
    expect(first).toBeGreaterThan(0);
    clock.advance(1_000);
    await tenancy.authenticate(secret);
    if (kind === 'memory') {
      expect(await lastUse()).toBe(first);
      clock.advance(MINUTE);
      await tenancy.authenticate(secret);
      expect(await lastUse()).toBe(clock.now());
    } else {
      expect(await lastUse()).toBe(first);
      // The database's clock cannot be moved: the row is moved back instead.
      await store.transaction(WORKER, (tx) =>
        tx.update(apiKeys, { id: principal.keyId }, { lastUsedAt: first - MINUTE }),
      );
      clock.advance(1_000);
      await tenancy.authenticate(secret);
      expect(await lastUse()).toBeGreaterThanOrEqual(first);
    }
  });

  describe('what a key may see', () => {
    const member = async (admin: Principal, projectId: string): Promise<Principal> =>
      tenancy.authenticate((await tenancy.createKey(admin, { name: 'm', role: 'member', projectId })).secret);

    it('is one project for a member, the organization for an admin, and nothing of others for either', async () => {
      const a = await tenant('A');
      const b = await tenant('B');
      const second = await tenancy.createProject(a.principal, { name: 'second' });
      const of = await member(a.principal, second.id);
      const ids = async (who: Principal) => (await tenancy.listProjects(who, { limit: 100 })).map((p) => p.id).sort();
      expect(await ids(of)).toEqual([second.id]);
      expect(await ids(a.principal)).toEqual([a.project?.id, second.id].sort());
      const foreign = b.project?.id ?? '';
      for (const who of [of, a.principal]) {
        await expect(tenancy.getProject(who, foreign)).rejects.toEqual(refusal('not-found'));
        await expect(tenancy.getOrganization(who, b.organization.id)).rejects.toEqual(refusal('not-found'));
      }
      await expect(tenancy.getProject(of, a.project?.id ?? '')).rejects.toEqual(refusal('not-found'));
    });

    it('does not reach keys of others, by list or by revoking', async () => {
      const a = await tenant('Keys A');
      const b = await tenant('Keys B');
      const listed = await tenancy.listKeys(a.principal, { limit: 100 });
      expect(listed.map((k) => k.organizationId)).toEqual([a.organization.id]);
      await expect(tenancy.revokeKey(a.principal, b.principal.keyId)).rejects.toEqual(refusal('not-found'));
      expect(await tenancy.authenticate(b.secret)).toBeTruthy();
    });

    it('does not let foreign ids into a new key', async () => {
      const a = await tenant('Ids A');
      const b = await tenant('Ids B');
      const projectId = b.project?.id ?? '';
      await expect(tenancy.createKey(a.principal, { name: 'x', role: 'member', projectId })).rejects.toEqual(
        refusal('not-found'),
      );
      const organizationId = b.organization.id;
      await expect(tenancy.createKey(a.principal, { name: 'x', role: 'admin', organizationId })).rejects.toEqual(
        refusal('not-found'),
      );
      await expect(tenancy.createProject(a.principal, { name: 'x', organizationId })).rejects.toEqual(
        refusal('not-found'),
      );
    });

    it.each(['provider-operator', 'platform-admin'] as const)('cannot be widened to %s by a tenant', async (role) => {
      const { principal } = await tenant('Climber');
      await expect(tenancy.createKey(principal, { name: 'x', role })).rejects.toEqual(refusal('role-not-grantable'));
    });
  });

  it('refuses a second project of one name in an organization, and not in another', async () => {
    const a = await tenant('Names A');
    const b = await tenant('Names B');
    await tenancy.createProject(a.principal, { name: 'vision' });
    await expect(tenancy.createProject(a.principal, { name: 'vision' })).rejects.toEqual(refusal('project-exists'));
    await tenancy.createProject(b.principal, { name: 'vision' });
  });

  it('undoes a creation when what runs beside it fails', async () => {
    const { principal } = await tenant('Atomic');
    const beside = () => Promise.reject(new Error('lost the race'));
    await expect(tenancy.createProject(principal, { name: 'gone' }, beside)).rejects.toThrow('lost the race');
    const names = (await tenancy.listProjects(principal, { limit: 10 })).map((p) => p.name);
    expect(names).toEqual(['default']);
  });

  it('pages through a list without loss or repetition', async () => {
    const { principal } = await tenant('Pages');
    for (let i = 0; i < 6; i++) await tenancy.createProject(principal, { name: `p${i}` });
    const seen: string[] = [];
    for (let after: readonly unknown[] | undefined; ;) {
      const page = await tenancy.listProjects(principal, { limit: 3, ...(after ? { after } : {}) });
      seen.push(...page.map((p) => p.id));
      const last = page.at(-1);
      if (page.length < 3 || !last) break;
      after = [last.id];
    }
    expect(seen).toHaveLength(7);
    expect(new Set(seen).size).toBe(7);
  });
});
