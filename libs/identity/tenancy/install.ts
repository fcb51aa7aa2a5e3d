import { newId, type Clock, type Random } from '#kernel';
import { WORKER, type Store } from '#platform/database';
import type { KeyRing } from './key-ring.js';
import { installs, organizations } from './tables.js';

export interface Install {
  readonly id: string;
  /** The first platform administrator's key: given once, by the boot that created the installation. */
  readonly platformKey: string | null;
}

/**
 * Creates the installation's row, the platform organization and its first key, if they are not there. Two processes
 * may call it at once: the unique row lets one of them through, and only that one gets the key.
 */
export async function ensureInstall(store: Store, keys: KeyRing, clock: Clock, random: Random): Promise<Install> {
  return store.transaction(WORKER, async (tx) => {
    const known = await tx.first(installs, { singleton: true });
    if (known) return { id: known.id, platformKey: null };
    const createdAt = await tx.now();
    const id = newId('install', clock.now(), random);
    const [created] = await tx.insertNew(installs, [{ id, singleton: true, createdAt }]);
    if (!created) {
      const other = await tx.first(installs, { singleton: true });
      if (!other) throw new Error('the installation row is neither there nor insertable');
      return { id: other.id, platformKey: null };
    }
    const organizationId = newId('organization', clock.now(), random);
    await tx.insert(organizations, {
      id: organizationId,
      name: 'platform',
      kind: 'platform',
      state: 'active',
      createdAt,
    });
    const issued = await keys.issueIn(tx, {
      organizationId,
      projectId: null,
      name: 'first platform administrator',
      role: 'platform-admin',
      expiresAt: null,
    });
    return { id, platformKey: issued.secret };
  });
}

/** A further platform key, for the operator who lost the first; whoever can reach the database may ask for it. */
export async function issuePlatformKey(store: Store, keys: KeyRing, name: string): Promise<string> {
  return store.transaction(WORKER, async (tx) => {
    const platform = await tx.first(organizations, { kind: 'platform' }, { orderBy: [['id', 'asc']] });
    if (!platform) throw new Error('there is no platform organization yet: boot the broker once');
    const order = {
      organizationId: platform.id,
      projectId: null,
      name,
      role: 'platform-admin',
      expiresAt: null,
    } as const;
    return (await keys.issueIn(tx, order)).secret;
  });
}
