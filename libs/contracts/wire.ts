import { z } from 'zod';
import { ID_PREFIXES, isId, type Id, type IdKind } from '#kernel';

/** Shapes shared by everything that crosses a process. Money on the wire is a string of nano-dollars; time is ISO 8601 UTC. */
export const nanoUsdText = z
  .string()
  .regex(/^-?\d{1,30}$/, 'must be whole nano-dollars as text, such as "25000000000" for $25')
  .meta({ description: 'Nano-dollars (1e-9 USD) as decimal text', examples: ['2500000000'] });

export const isoTime = z.iso.datetime().meta({ description: 'UTC time, ISO 8601' });

/** An id of one kind; a wrong prefix is refused with the right one named. */
export function idOf<K extends IdKind>(kind: K) {
  return z
    .custom<Id<K>>((v) => isId(kind, v), { error: `must be an id such as ${ID_PREFIXES[kind]}_01...` })
    .meta({
      type: 'string',
      pattern: `^${ID_PREFIXES[kind]}_[0-9a-hjkmnp-tv-z]{26}$`,
    });
}

/** RFC 9457 problem details, with what a caller needs to go on. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    field: z.string().optional(),
    problems: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
    fix: z.string().optional(),
    retryable: z.boolean(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
    requestId: z.string(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problemSchema>;

/** A page in a total order; `nextCursor` is null on the last page. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() });
}
