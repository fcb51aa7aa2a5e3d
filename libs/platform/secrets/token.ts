import { createHmac } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { systemRandom, type Random } from '#kernel';

/** project: a tenant's API key. admin: the platform's. host: what an enrolled agent holds. enrol: good for one enrolment. */
export const TOKEN_KINDS = ['project', 'admin', 'host', 'enrol'] as const;
export type TokenKind = (typeof TOKEN_KINDS)[number];

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const BODY_LENGTH = 30;
const CHECKSUM_LENGTH = 6;
const SHOWN_LENGTH = 6;

/** What scanners for leaked secrets look for. */
export const TOKEN_PATTERN = /\bberth_(project|admin|host|enrol)_[0-9A-Za-z]{36}\b/;

/**
 * `berth_<kind>_` + 30 random base-62 characters (178 bits) + 6 of CRC32: a double click selects it whole, scanners
 * recognise it, and a typing error is refused without asking the database.
 */
export function newSecretToken(kind: TokenKind, random: Random = systemRandom): string {
  let start = `berth_${kind}_`;
  for (let left = BODY_LENGTH; left > 0;) {
    for (const byte of random.bytes(left)) {
      // 248 = 4 x 62: higher bytes would make the first characters of the alphabet likelier.
      if (byte >= 248) continue;
      start += BASE62.charAt(byte % 62);
      left -= 1;
    }
  }
  return start + checksumOf(start);
}

/** The kind of a token whose form and checksum are right; null for anything else. Says nothing about whether it is known. */
export function kindOfToken(token: string): TokenKind | null {
  const match = new RegExp(`^${TOKEN_PATTERN.source}$`).exec(token);
  if (!match) return null;
  if (checksumOf(token.slice(0, -CHECKSUM_LENGTH)) !== token.slice(-CHECKSUM_LENGTH)) return null;
  return TOKEN_KINDS.find((kind) => kind === match[1]) ?? null;
}

/** False for a mistyped or cut token. */
export function checksumOk(token: string): boolean {
  return kindOfToken(token) !== null;
}

/** What is stored in place of a token: HMAC-SHA256, hexadecimal. A slow hash is of no use against 178 random bits. */
export function hashToken(token: string, pepper: Uint8Array): string {
  return createHmac('sha256', pepper).update(token).digest('hex');
}

/** The part that may be shown, so that people can tell their keys apart: `berth_project_a1B2c3`. */
export function tokenPrefix(token: string): string {
  const start = /^berth_[a-z]+_/.exec(token)?.[0];
  if (start === undefined) throw new RangeError('not a token of Berth');
  return token.slice(0, start.length + SHOWN_LENGTH);
}

function checksumOf(text: string): string {
  let rest = crc32(text);
  let out = '';
  for (let i = 0; i < CHECKSUM_LENGTH; i++) {
    out = BASE62.charAt(rest % 62) + out;
    rest = Math.floor(rest / 62);
  }
  return out;
}
