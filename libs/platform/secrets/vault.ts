import { createCipheriv, createDecipheriv } from 'node:crypto';
import { systemRandom, type Random } from '#kernel';
import type { KeyEncryptionKey } from './keys.js';

/** Where a sealed value stands. All four are bound into it: moved to any other place it does not open. */
export interface SecretPlace {
  readonly table: string;
  readonly row: string;
  readonly column: string;
  readonly organizationId: string;
}

/** The value was sealed under a key that this process was not given. Nothing is lost if the key comes back. */
export class UnknownSealKey extends Error {
  constructor(readonly keyId: string) {
    super(
      `A secret is sealed under the key ${keyId}, which none of the given secrets makes. Start with the BERTH_SECRET that was in use when it was stored.`,
    );
    this.name = 'UnknownSealKey';
  }
}

/** The value was changed, or stands in another place than the one it was sealed for. */
export class SealBroken extends Error {
  constructor(place: SecretPlace, cause?: unknown) {
    super(
      `The secret in ${place.table}.${place.column} of ${place.row} does not open: it was changed or belongs elsewhere.`,
      { cause },
    );
    this.name = 'SealBroken';
  }
}

const VERSION = 's1';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
/** Far below the 2^32 messages after which random nonces of one AES-GCM key may meet (NIST SP 800-38D, 8.3). */
const DATA_KEY_USES = 1_000_000;
const DATA_KEYS_KEPT = 1_000;

interface DataKey {
  readonly key: Uint8Array;
  /** The key as it stands in the sealed text. */
  readonly wrapped: string;
  usesLeft: number;
}

/**
 * Envelope encryption: `s1.<key id>.<wrapped data key>.<nonce, data, tag>`, AES-256-GCM both times. A data key serves one
 * organization in one process; it travels in the sealed text, so there is no table of keys to lose.
 */
export class Vault {
  private readonly keys: ReadonlyMap<string, Uint8Array>;
  private readonly current: KeyEncryptionKey;
  private readonly dataKeys = new Map<string, DataKey>();

  /** The first key seals; the others only open what was sealed before a rotation. */
  constructor(
    keys: readonly [KeyEncryptionKey, ...KeyEncryptionKey[]],
    private readonly random: Random = systemRandom,
  ) {
    [this.current] = keys;
    this.keys = new Map(keys.map((key) => [key.id, key.key]));
  }

  seal(place: SecretPlace, plaintext: string): string {
    const dataKey = this.dataKeyFor(place.organizationId);
    const body = encrypt(dataKey.key, Buffer.from(plaintext, 'utf8'), placeBytes(place), this.random);
    return [VERSION, this.current.id, dataKey.wrapped, body.toString('base64url')].join('.');
  }

  /** Throws UnknownSealKey or SealBroken; never answers anything but what was sealed. */
  open(place: SecretPlace, sealed: string): string {
    const { keyId, wrapped, body } = this.parse(place, sealed);
    try {
      const dataKey = decrypt(this.keyOf(keyId), wrapped, wrapBytes(place.organizationId));
      return decrypt(dataKey, body, placeBytes(place)).toString('utf8');
    } catch (error) {
      throw error instanceof UnknownSealKey ? error : new SealBroken(place, error);
    }
  }

  /** The same secret under the current key; the data itself is not decrypted. Null when it is under it already. */
  rewrap(place: SecretPlace, sealed: string): string | null {
    const { keyId, wrapped, body } = this.parse(place, sealed);
    if (keyId === this.current.id) return null;
    const aad = wrapBytes(place.organizationId);
    const old = this.keyOf(keyId);
    let dataKey: Buffer;
    try {
      dataKey = decrypt(old, wrapped, aad);
    } catch (error) {
      throw new SealBroken(place, error);
    }
    const again = encrypt(this.current.key, dataKey, aad, this.random).toString('base64url');
    return [VERSION, this.current.id, again, body.toString('base64url')].join('.');
  }

  private keyOf(id: string): Uint8Array {
    const key = this.keys.get(id);
    if (!key) throw new UnknownSealKey(id);
    return key;
  }

  private parse(place: SecretPlace, sealed: string): { keyId: string; wrapped: Buffer; body: Buffer } {
    const [, keyId, wrapped, body] = /^s1\.([0-9a-f]{16})\.([\w-]+)\.([\w-]+)$/.exec(sealed) ?? [];
    if (keyId === undefined || wrapped === undefined || body === undefined) throw new SealBroken(place);
    return { keyId, wrapped: Buffer.from(wrapped, 'base64url'), body: Buffer.from(body, 'base64url') };
  }

  private dataKeyFor(organizationId: string): DataKey {
    const known = this.dataKeys.get(organizationId);
    if (known && known.usesLeft > 0) {
      known.usesLeft -= 1;
      return known;
    }
    const oldest = this.dataKeys.keys().next();
    if (!known && this.dataKeys.size >= DATA_KEYS_KEPT && !oldest.done) this.dataKeys.delete(oldest.value);
    const key = this.random.bytes(KEY_BYTES);
    const wrapped = encrypt(this.current.key, key, wrapBytes(organizationId), this.random).toString('base64url');
    const fresh = { key, wrapped, usesLeft: DATA_KEY_USES - 1 };
    this.dataKeys.set(organizationId, fresh);
    return fresh;
  }
}

function encrypt(key: Uint8Array, data: Uint8Array, aad: Uint8Array, random: Random): Buffer {
  const nonce = random.bytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad);
  return Buffer.concat([nonce, cipher.update(data), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Buffer {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new RangeError('too short to be sealed');
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(aad)
    .setAuthTag(sealed.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
}

/** JSON keeps the borders between the parts: no two places give the same bytes. */
function placeBytes(place: SecretPlace): Buffer {
  return Buffer.from(JSON.stringify(['value', place.table, place.row, place.column, place.organizationId]));
}

function wrapBytes(organizationId: string): Buffer {
  return Buffer.from(JSON.stringify(['data-key', organizationId]));
}
