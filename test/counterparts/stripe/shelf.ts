import { invalid, missing } from './stripe-error.js';

/** An object of Stripe's as it is kept and sent. */
export type Obj = { [field: string]: unknown; id: string; object: string };
export type Params = Readonly<Record<string, unknown>>;

/** All objects of one Stripe account, by id; fields hold ids, never objects, until they are sent. */
export class Shelf {
  private readonly byId = new Map<string, Obj>();

  put<T extends Obj>(object: T): T {
    this.byId.set(object.id, object);
    return object;
  }

  find(id: unknown): Obj | null {
    return typeof id === 'string' ? (this.byId.get(id) ?? null) : null;
  }

  /** The object of that kind; refuses as Stripe does when there is none. */
  get(object: string, id: unknown): Obj {
    const found = this.find(id);
    if (!found || found.object !== object) throw missing(object.replaceAll('_', ' '), String(id));
    return found;
  }

  remove(id: string): void {
    this.byId.delete(id);
  }

  /** Newest first. */
  all(object: string): Obj[] {
    return [...this.byId.values()].filter((o) => o.object === object).toReversed();
  }

  /** A page of a list: every parameter that is no matter of paging must equal the field of its name. */
  page(objects: readonly Obj[], params: Params, url: string): Obj | Record<string, unknown> {
    const { limit = 10, starting_after, ending_before, created, expand: _, ...filters } = params;
    if (ending_before !== undefined) throw invalid('The stand-in does not page backwards.');
    const wanted = objects.filter(
      (o) =>
        Object.entries(filters).every(([field, value]) => o[field] === value) && within(Number(o['created']), created),
    );
    const from = starting_after === undefined ? 0 : wanted.findIndex((o) => o.id === starting_after) + 1;
    const data = wanted.slice(from, from + Number(limit));
    return { object: 'list', data, has_more: from + data.length < wanted.length, url };
  }

  /** A copy with the objects in the places that `expand` names. */
  expanded(value: unknown, paths: readonly string[]): unknown {
    const copy = structuredClone(value);
    for (const path of paths) this.expandAt(copy, path.split('.'));
    return copy;
  }

  private expandAt(at: unknown, path: readonly string[]): void {
    const [field = '', ...rest] = path;
    if (Array.isArray(at)) {
      for (const item of at) this.expandAt(item, path);
      return;
    }
    if (typeof at !== 'object' || at === null) return;
    const holder = at as Record<string, unknown>;
    if (!(field in holder)) throw invalid(`This property cannot be expanded (${field}).`);
    const found = this.find(holder[field]);
    if (found) holder[field] = structuredClone(found);
    if (rest.length > 0) this.expandAt(holder[field], rest);
  }
}

function within(created: number, range: unknown): boolean {
  if (range === undefined) return true;
  if (typeof range === 'number') return created === range;
  const { gt, gte, lt, lte } = range as Record<string, number | undefined>;
  return (
    (gt === undefined || created > gt) &&
    (gte === undefined || created >= gte) &&
    (lt === undefined || created < lt) &&
    (lte === undefined || created <= lte)
  );
}
