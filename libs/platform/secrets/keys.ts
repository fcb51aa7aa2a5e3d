import { createHash, hkdfSync, timingSafeEqual } from 'node:crypto';

/** 32 bytes for one purpose, from the installation's secret (HKDF-SHA256, RFC 5869). Another purpose gives an unrelated key. */
export function deriveKey(secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, 'berth', purpose, 32));
}

/** A key that wraps data keys. The id says which one without telling anything about it. */
export interface KeyEncryptionKey {
  /** 16 hexadecimal digits. */
  readonly id: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

export function keyEncryptionKey(secret: string): KeyEncryptionKey {
  const id = deriveKey(secret, 'key-encryption-key-id').subarray(0, 8).toString('hex');
  return { id, key: deriveKey(secret, 'key-encryption-key') };
}

/** Takes the same time wherever the two differ, and whatever their lengths. */
export function constantTimeEqual(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
