import type { Clock } from '#kernel';
import type { ApiChecker } from './schema/checker.js';
import type { Obj, Params, Shelf } from './shelf.js';

/** How a card behaves when it is charged. */
export type CardBehaviour = 'pays' | 'declines' | 'needs-authentication' | 'processes';

/** What the handlers of requests work on. */
export interface World {
  readonly clock: Clock;
  readonly shelf: Shelf;
  readonly checker: ApiChecker;
  /** Card behaviours by payment method; a copy of a test card behaves as it does. */
  readonly cards: Map<string, CardBehaviour>;
  /** Whether money from cards may be paid out at once instead of after two days. */
  availableAtOnce: boolean;
  newId(prefix: string): string;
  /** Seconds. */
  now(): number;
  emit(type: string, object: Obj): void;
  /** A new kept object: the plainest of its definition with these fields on top. */
  make(definition: string, fields: { [field: string]: unknown; id: string; object: string }): Obj;
}

/** Does one request. Everything it throws but a StripeFailure is a mistake of the stand-in. */
export type Handler = (world: World, params: Params, ids: readonly string[]) => unknown;
/** By `POST /v1/refunds`, places for ids written `{}`. */
export type Handlers = Readonly<Record<string, Handler>>;

/** Only what was given, under its own name. */
export function given(params: Params, ...names: string[]): Record<string, unknown> {
  return Object.fromEntries(names.filter((name) => params[name] !== undefined).map((name) => [name, params[name]]));
}

/** Metadata after a change: an empty value takes a key away. */
export function metadataOf(before: unknown, change: unknown): Record<string, string> {
  const merged = { ...(before as Record<string, string>), ...(change as Record<string, unknown>) };
  const kept = Object.entries(merged).filter(([, value]) => value !== '' && value !== null);
  return Object.fromEntries(kept.map(([key, value]) => [key, String(value)]));
}

/** GET of one object and of a list of its kind, which most resources have. */
export function readers(path: string, object: string): Handlers {
  return {
    [`GET ${path}`]: ({ shelf }, params) => shelf.page(shelf.all(object), params, path),
    [`GET ${path}/{}`]: ({ shelf }, _, [id]) => shelf.get(object, id),
  };
}
