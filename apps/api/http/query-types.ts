import { z } from 'zod';

/** How a type that reads text is shown in the OpenAPI document. */
export const shownAs = z.registry<Record<string, unknown>>();

/** A whole number in a query, such as `limit=50`. */
export function queryInt(low: number, high: number) {
  return z
    .string()
    .regex(/^-?\d{1,15}$/, `must be a whole number from ${low} to ${high}`)
    .transform(Number)
    .pipe(z.int().min(low).max(high))
    .register(shownAs, { type: 'integer', minimum: low, maximum: high });
}

/** A number in a query, such as `maxPrice=2.5`. */
export function queryNumber(low: number, high: number) {
  return z
    .string()
    .regex(/^-?\d{1,15}(\.\d{1,12})?$/, `must be a number from ${low} to ${high}`)
    .transform(Number)
    .pipe(z.number().min(low).max(high))
    .register(shownAs, { type: 'number', minimum: low, maximum: high });
}

/** `true` or `false` in a query. */
export function queryBool() {
  return z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .register(shownAs, { type: 'boolean' });
}

/** Several values in a query: `state=running,queued` or `state=running&state=queued`. */
export function queryList<T extends z.ZodType<unknown, string>>(item: T, most = 50) {
  return z
    .union([z.string(), z.array(z.string())])
    .transform((given) => (Array.isArray(given) ? given : [given]).flatMap((text) => text.split(',')))
    .pipe(z.array(item).min(1).max(most))
    .register(shownAs, { type: 'array', items: { type: 'string' } });
}
