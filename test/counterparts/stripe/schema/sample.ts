import { resolve } from './form.js';
import type { Schema } from './type-schemas.js';

/**
 * The plainest value that a schema allows: null where null may stand, else empty; only what must be there.
 * Objects that a stand-in keeps start as this and get their real values on top.
 */
export function plainest(given: Schema, definitions: Readonly<Record<string, Schema>>): unknown {
  const schema = resolve(given, definitions);
  const branches = schema['anyOf'] as Schema[] | undefined;
  if (branches) {
    if (branches.some((branch) => branch['type'] === 'null')) return null;
    const [first] = branches;
    return first ? plainest(first, definitions) : null;
  }
  if ('const' in schema) return schema['const'];
  if ('enum' in schema) return (schema['enum'] as unknown[])[0];
  switch (schema['type']) {
    case 'string':
      return schema['pattern'] === undefined ? '' : '0';
    case 'integer':
    case 'number':
      return 0;
    case 'boolean':
      return false;
    case 'null':
      return null;
    case 'array':
      return [];
    case 'object': {
      const properties = schema['properties'] as Readonly<Record<string, Schema>>;
      const required = schema['required'] as readonly string[];
      return Object.fromEntries(required.map((name) => [name, plainest(properties[name] ?? {}, definitions)]));
    }
    default:
      return null;
  }
}
