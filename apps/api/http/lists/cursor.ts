import { createHash, createHmac } from 'node:crypto';
import { z } from 'zod';
import { DomainError } from '#kernel';
import { constantTimeEqual } from '#platform/secrets';

/** Where a list stands: values of its ordering columns. Whole numbers beyond 2^53 travel as `{n: text}`. */
export type CursorValue = string | number | bigint;

const cursorForm = z.strictObject({
  after: z.array(z.union([z.string(), z.number(), z.strictObject({ n: z.string().regex(/^-?\d+$/) })])).min(1),
  mac: z.string(),
});

/**
 * Opaque cursors: base64url of JSON with a MAC over the position and the list it belongs to (organization, projects,
 * route, filter). A cursor that was made up, or taken from another list or tenant, is refused.
 */
export class Cursors {
  constructor(private readonly key: Uint8Array) {}

  encode(list: string, after: readonly CursorValue[]): string {
    const plain = after.map((v) => (typeof v === 'bigint' ? { n: v.toString() } : v));
    return Buffer.from(JSON.stringify({ after: plain, mac: this.mac(list, plain) })).toString('base64url');
  }

  decode(list: string, cursor: string): CursorValue[] {
    const form = cursorForm.safeParse(jsonOf(cursor));
    if (!form.success || !constantTimeEqual(form.data.mac, this.mac(list, form.data.after))) {
      throw new DomainError('invalid', 'invalid-cursor', 'The cursor does not belong to this list.', {
        field: 'cursor',
        fix: 'Use `nextCursor` of the page before with the same filter, or leave the cursor out to start over.',
      });
    }
    return form.data.after.map((v) => (typeof v === 'object' ? BigInt(v.n) : v));
  }

  private mac(list: string, after: readonly unknown[]): string {
    return createHmac('sha256', this.key)
      .update(JSON.stringify([list, after]))
      .digest('base64url')
      .slice(0, 22);
  }
}

function jsonOf(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return null;
  }
}

/** A short digest of a value whose object keys may come in any order. */
export function digestOf(value: unknown): string {
  return createHash('sha256').update(canonical(value)).digest('base64url');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonical(v)}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}
