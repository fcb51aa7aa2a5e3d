import type { Schema } from './type-schemas.js';

/** What a form says before anybody knows the types: text, lists, and named parts. */
export type Raw = string | Raw[] | { [name: string]: Raw };

/** `a[b][0]=c` as a tree; lists with and without numbers. */
export function formTree(text: string): { [name: string]: Raw } {
  const tree: { [name: string]: Raw } = {};
  for (const [key, value] of new URLSearchParams(text)) {
    const path = [key.replace(/\[.*$/s, ''), ...[...key.matchAll(/\[([^\]]*)\]/g)].map((m) => m[1] ?? '')];
    place(tree, path, value);
  }
  return listed(tree) as { [name: string]: Raw };
}

function place(tree: { [name: string]: Raw }, path: readonly string[], value: string): void {
  let at = tree;
  for (const [i, part] of path.entries()) {
    // `a[]=x` appends.
    const name = part === '' ? String(Object.keys(at).length) : part;
    if (i === path.length - 1) {
      at[name] = value;
      return;
    }
    const next = at[name];
    at = typeof next === 'object' && !Array.isArray(next) ? next : (at[name] = {});
  }
}

/** Parts named 0, 1, 2 … are a list. */
function listed(raw: Raw): Raw {
  if (typeof raw === 'string' || Array.isArray(raw)) return raw;
  const names = Object.keys(raw);
  const values = Object.fromEntries(names.map((name) => [name, listed(raw[name] ?? '')]));
  const isList = names.length > 0 && names.every((name, i) => name === String(i));
  return isList ? Object.values(values) : values;
}

type Definitions = Readonly<Record<string, Schema>>;

/** Gives the text of a form the types that the schema wants; what fits none is left as it is, for the check to complain about. */
export function typed(raw: Raw, schema: Schema, definitions: Definitions): unknown {
  const found = fit(raw, schema, definitions);
  return found === NO_FIT ? raw : found;
}

const NO_FIT = Symbol('no fit');

function fit(raw: Raw, given: Schema, definitions: Definitions): unknown {
  const schema = resolve(given, definitions);
  const branches = schema['anyOf'] as Schema[] | undefined;
  if (branches) {
    for (const branch of branches) {
      const found = fit(raw, branch, definitions);
      if (found !== NO_FIT) return found;
    }
    return NO_FIT;
  }
  if ('const' in schema) return raw === String(schema['const']) ? schema['const'] : NO_FIT;
  if ('enum' in schema) return (schema['enum'] as unknown[]).includes(raw) ? raw : NO_FIT;
  switch (schema['type']) {
    case 'string':
      return typeof raw === 'string' ? raw : NO_FIT;
    case 'integer':
      return typeof raw === 'string' && /^-?\d{1,15}$/.test(raw) ? Number(raw) : NO_FIT;
    case 'number':
      return typeof raw === 'string' && /^-?\d+(\.\d+)?$/.test(raw) ? Number(raw) : NO_FIT;
    case 'boolean':
      return raw === 'true' || raw === 'false' ? raw === 'true' : NO_FIT;
    case 'null':
      return raw === '' ? null : NO_FIT;
    case 'array':
      return Array.isArray(raw) ? raw.map((item) => typed(item, schema['items'] as Schema, definitions)) : NO_FIT;
    case 'object':
      return typeof raw === 'object' && !Array.isArray(raw) ? partsOf(raw, schema, definitions) : NO_FIT;
    default:
      return raw;
  }
}

function partsOf(raw: { [name: string]: Raw }, schema: Schema, definitions: Definitions): unknown {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Schema>>;
  const rest = schema['additionalProperties'];
  return Object.fromEntries(
    Object.entries(raw).map(([name, value]) => {
      const of = properties[name] ?? (typeof rest === 'object' && rest !== null ? (rest as Schema) : undefined);
      return [name, of ? typed(value, of, definitions) : value];
    }),
  );
}

/** Follows references until something else comes. */
export function resolve(schema: Schema, definitions: Definitions): Schema {
  let at = schema;
  while (typeof at['$ref'] === 'string') {
    const next = definitions[at['$ref'].replace('#/$defs/', '')];
    if (!next) throw new Error(`no definition ${String(at['$ref'])}`);
    at = next;
  }
  return at;
}
