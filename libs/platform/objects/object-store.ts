import type { Readable } from 'node:stream';
import { DomainError } from '#kernel';

export interface StoredObject {
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly bytes: number;
}

export type ObjectBody = Uint8Array | AsyncIterable<Uint8Array>;

export interface PutOptions {
  /** Length of the body where it is known before; a body of another length is refused. */
  readonly bytes?: number;
  /** For stores that tell it to browsers; default application/octet-stream. */
  readonly contentType?: string;
}

/**
 * Keeps artifacts: bytes under a key. An object appears whole or not at all, and a put over an existing key replaces it.
 * Every implementation passes `object-store.contract.ts`.
 */
export interface ObjectStore {
  /** When the body fails or has the wrong length, what was there before stays. */
  put(key: string, body: ObjectBody, options?: PutOptions): Promise<StoredObject>;
  /** Throws `object-missing` before anything is read. */
  get(key: string): Promise<Readable>;
  /** Bytes [from, to) as far as the object has them. */
  getRange(key: string, from: number, to: number): Promise<Readable>;
  head(key: string): Promise<{ readonly bytes: number } | null>;
  /** Deleting what is not there is no error. */
  delete(key: string): Promise<void>;
  /** All objects whose key starts with the prefix (any text), in order of key. */
  list(prefix: string): AsyncIterable<{ readonly key: string; readonly bytes: number }>;
  /** Throws when the store cannot be used; for health checks. */
  check(): Promise<void>;
  close(): Promise<void>;
}

export function objectMissing(key: string): DomainError {
  return new DomainError('not-found', 'object-missing', `There is no object ${key}.`);
}
