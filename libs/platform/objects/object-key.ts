import { DomainError } from '#kernel';

/** With the longest suffix of a draft a key is still a file name everywhere (255 bytes). */
const KEY_MAX_LENGTH = 200;
const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

/**
 * Refuses everything but segments of letters, digits, `.`, `_` and `-` that do not begin with a dot, joined by `/`:
 * no key can climb out of a folder, be absolute, hidden or spelt in two ways.
 */
export function checkObjectKey(key: string): void {
  if (key.length <= KEY_MAX_LENGTH && key.split('/').every((segment) => SEGMENT.test(segment))) return;
  throw new DomainError(
    'invalid',
    'invalid-object-key',
    `${JSON.stringify(key.slice(0, 80))} cannot be the key of an object.`,
    {
      fix: `Use up to ${KEY_MAX_LENGTH} letters, digits, ".", "_", "-" in parts joined by "/", no part beginning with a dot.`,
    },
  );
}
