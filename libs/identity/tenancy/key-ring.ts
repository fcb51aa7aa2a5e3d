import { MINUTE, newId, notFound, type Clock, type Random } from '#kernel';
import { WORKER, type Store, type Tx } from '#platform/database';
import { hashToken, kindOfToken, newSecretToken, tokenPrefix } from '#platform/secrets';
import { expiredKey, invalidKey, revokedKey, suspendedOrganization } from './errors.js';
import { principalOf, type Principal, type Role } from './principal.js';
import { apiKeys, organizations, type ApiKeyRow, type OrganizationRow } from './tables.js';

/** How long a known key is believed without asking: with it, a revocation is in force everywhere within a second. */
const BELIEVED_MS = 500;
const BELIEVED_KEYS = 10_000;
/** `last_used_at` is for people; a write per request would make every read a write. */
const LAST_USE_STEP_MS = MINUTE;

export interface KeyOrder {
  readonly organizationId: string;
  readonly projectId: string | null;
  readonly name: string;
  readonly role: Role;
  readonly expiresAt: number | null;
}

export interface IssuedKey {
  readonly key: ApiKeyRow;
  /** Shown once; nobody can get it again. */
  readonly secret: string;
}

interface Belief {
  readonly key: ApiKeyRow;
  readonly organization: OrganizationRow;
  readonly untilMs: number;
}

/** Issues keys and says who stands behind one. */
export class KeyRing {
  private readonly believed = new Map<string, Belief>();
  private readonly asking = new Map<string, Promise<Belief | null>>();

  constructor(
    private readonly store: Store,
    private readonly pepper: Uint8Array,
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  async issueIn(tx: Tx, order: KeyOrder): Promise<IssuedKey> {
    const secret = newSecretToken(order.role === 'platform-admin' ? 'admin' : 'project', this.random);
    const key: ApiKeyRow = {
      ...order,
      id: newId('key', this.clock.now(), this.random),
      prefix: tokenPrefix(secret),
      hash: hashToken(secret, this.pepper),
      createdAt: await tx.now(),
      revokedAt: null,
      lastUsedAt: null,
    };
    await tx.insert(apiKeys, key);
    return { key, secret };
  }

  /**
   * Who holds this key. A mistyped key is refused without a query; an unknown prefix and a wrong secret take the same
   * way, one look-up by hash.
   */
  async authenticate(secretText: string): Promise<Principal> {
    const kind = kindOfToken(secretText);
    if (kind !== 'project' && kind !== 'admin') throw invalidKey();
    const hash = hashToken(secretText, this.pepper);
    const found = await this.lookUp(hash);
    if (!found) throw invalidKey();
    const { key, organization } = found;
    if (key.revokedAt !== null) throw revokedKey();
    if (key.expiresAt !== null && key.expiresAt <= this.clock.now()) throw expiredKey(key.expiresAt);
    if (organization.state !== 'active') throw suspendedOrganization();
    return principalOf(key, organization.kind);
  }

  /** Forgets what this process believes of a key; other processes follow within BELIEVED_MS. */
  forget(keyHash: string): void {
    this.believed.delete(keyHash);
  }

  private lookUp(hash: string): Promise<Belief | null> {
    const known = this.believed.get(hash);
    if (known && known.untilMs > this.clock.now()) return Promise.resolve(known);
    const running = this.asking.get(hash);
    if (running) return running;
    const asked = this.ask(hash).finally(() => this.asking.delete(hash));
    this.asking.set(hash, asked);
    return asked;
  }

  private async ask(hash: string): Promise<Belief | null> {
    // Counted from before the query: an answer that was slow to come must not live longer.
    const untilMs = this.clock.now() + BELIEVED_MS;
    const found = await this.store.transaction(WORKER, async (tx) => {
      const key = await tx.first(apiKeys, { hash });
      if (!key) return null;
      const organization = await tx.first(organizations, { id: key.organizationId });
      if (!organization) return null;
      await this.noteUse(tx, key);
      return { key, organization, untilMs };
    });
    this.believed.delete(hash);
    if (!found) return null;
    if (this.believed.size >= BELIEVED_KEYS) {
      const oldest = this.believed.keys().next();
      if (!oldest.done) this.believed.delete(oldest.value);
    }
    this.believed.set(hash, found);
    return found;
  }

  private async noteUse(tx: Tx, key: ApiKeyRow): Promise<void> {
    if (key.revokedAt !== null) return;
    const now = await tx.now();
    if (key.lastUsedAt === null) {
      await tx.update(apiKeys, { id: key.id, lastUsedAt: { isNull: true } }, { lastUsedAt: now });
    } else if (key.lastUsedAt <= now - LAST_USE_STEP_MS) {
      await tx.update(apiKeys, { id: key.id, lastUsedAt: { lte: now - LAST_USE_STEP_MS } }, { lastUsedAt: now });
    }
  }

  /** Revokes in `tx`; a key that is revoked already stays as it is. */
  async revokeIn(tx: Tx, where: { readonly id: string; readonly organizationId?: string }): Promise<ApiKeyRow> {
    const now = await tx.now();
    const [revoked] = await tx.update(apiKeys, { ...where, revokedAt: { isNull: true } }, { revokedAt: now });
    const key = revoked ?? (await tx.first(apiKeys, where));
    if (!key) throw notFound('API key', where.id);
    tx.afterCommit(() => this.forget(key.hash));
    return key;
  }
}
