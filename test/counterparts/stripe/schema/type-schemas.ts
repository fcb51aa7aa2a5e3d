import { basename } from 'node:path';
import ts from 'typescript';

export type Schema = Readonly<Record<string, unknown>>;

/** Stripe's decimals are text with at most twelve places. */
const DECIMAL: Schema = { type: 'string', pattern: '^-?\\d+(\\.\\d{1,12})?$' };

/** What Stripe counts in fractions. Every other number is whole: cents, seconds, counts. */
const FRACTIONAL = /percent|percentage|^(height|length|weight|width|latitude|longitude|score|aggregated_value)$/;

/** JSON schemas of TypeScript types; named types become definitions, so that they may refer to each other. */
export class TypeSchemas {
  readonly definitions: Record<string, Schema> = {};
  private readonly names = new Map<ts.Type, string>();

  constructor(private readonly checker: ts.TypeChecker) {}

  /** `property`: the name of the property that has this type. */
  of(type: ts.Type, property = ''): Schema {
    const { flags } = type;
    if (flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown | ts.TypeFlags.Void)) return {};
    if (flags & ts.TypeFlags.StringLiteral) return { const: (type as ts.StringLiteralType).value };
    if (flags & ts.TypeFlags.NumberLiteral) return { const: (type as ts.NumberLiteralType).value };
    if (flags & ts.TypeFlags.BooleanLiteral) return { const: this.checker.typeToString(type) === 'true' };
    if (flags & ts.TypeFlags.String) return { type: 'string' };
    if (flags & ts.TypeFlags.Number) return { type: FRACTIONAL.test(property) ? 'number' : 'integer' };
    if (flags & ts.TypeFlags.BigInt) return { type: 'string', pattern: '^-?\\d+$' };
    if (flags & ts.TypeFlags.Boolean) return { type: 'boolean' };
    if (flags & ts.TypeFlags.Null) return { type: 'null' };
    if (type.isUnion()) return this.union(type, property);
    if (type.getProperty('_coefficient')) return DECIMAL;
    if (type.isIntersection()) {
      return type.types.some((part) => part.flags & ts.TypeFlags.String) ? { type: 'string' } : this.object(type);
    }
    if (flags & ts.TypeFlags.Object) return this.objectOrArray(type as ts.ObjectType, property);
    throw new Error(`no schema for ${this.checker.typeToString(type)} of ${property}`);
  }

  private union(type: ts.UnionType, property: string): Schema {
    const parts = type.types.filter((part) => !(part.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Void)));
    const words = parts.flatMap((part) => (part.isStringLiteral() ? [part.value] : []));
    const booleans = parts.filter((part) => part.flags & ts.TypeFlags.BooleanLiteral);
    const others = parts.filter((part) => !part.isStringLiteral() && !booleans.includes(part));
    // `string & {}` beside words is the SDK's "or a word that is not known yet"; the stand-in knows none of those.
    const strict = words.length > 0 ? others.filter((part) => !part.isIntersection()) : others;
    const branches = strict.map((part) => this.of(part, property));
    if (booleans.length === 2) branches.push({ type: 'boolean' });
    else branches.push(...booleans.map((part) => this.of(part, property)));
    if (words.length > 0) branches.unshift({ enum: words });
    const [only] = branches;
    return branches.length === 1 && only ? only : { anyOf: branches };
  }

  private objectOrArray(type: ts.ObjectType, property: string): Schema {
    const name = type.symbol?.name ?? '';
    if (this.checker.isArrayType(type)) {
      const [item] = this.checker.getTypeArguments(type as ts.TypeReference);
      // Lists of numbers are days of the month and the like, and never fractions.
      return { type: 'array', items: item ? this.of(item, property) : {} };
    }
    if (name === 'Date') return { type: 'string' };
    if (name === 'Uint8Array' || name === 'Buffer') return {};
    return this.object(type);
  }

  private object(type: ts.Type): Schema {
    const known = this.names.get(type);
    if (known !== undefined) return { $ref: `#/$defs/${known}` };
    const name = this.nameOf(type);
    this.names.set(type, name);
    this.definitions[name] = {};
    this.definitions[name] = this.shapeOf(type);
    return { $ref: `#/$defs/${name}` };
  }

  private shapeOf(type: ts.Type): Schema {
    const properties: Record<string, Schema> = {};
    const required: string[] = [];
    for (const symbol of this.checker.getPropertiesOfType(type)) {
      const declared = this.checker.getTypeOfSymbol(symbol);
      // What an object can do is no part of what is sent.
      if (declared.getCallSignatures().length > 0 || symbol.name.startsWith('__@')) continue;
      const nothing = ts.TypeFlags.Void | ts.TypeFlags.Undefined | ts.TypeFlags.Never;
      const value = declared.isUnion()
        ? declared.types.filter((part) => !(part.flags & nothing))
        : declared.flags & nothing
          ? []
          : [declared];
      if (value.length === 0) continue;
      properties[symbol.name] = this.of(declared, symbol.name);
      if (!(symbol.flags & ts.SymbolFlags.Optional)) required.push(symbol.name);
    }
    const index = this.checker.getIndexInfosOfType(type).find((info) => info.keyType.flags & ts.TypeFlags.String);
    const rest = index ? this.of(index.type) : false;
    return { type: 'object', properties, required, additionalProperties: rest };
  }

  /** File and full name, and a number where several types share them. */
  private nameOf(type: ts.Type): string {
    const { symbol } = type;
    const file = symbol?.declarations?.[0]?.getSourceFile().fileName ?? '';
    const full = symbol ? this.checker.getFullyQualifiedName(symbol).replace(/^".*"\./, '') : 'anonymous';
    // Checkout/Sessions and BillingPortal/Sessions both have a Session.
    const where = /\/resources\/(.*)\.d\.ts$/.exec(file)?.[1]?.replaceAll('/', '.') ?? basename(file, '.d.ts');
    const base = `${where}.${full}`.replace(/[^\w.]/g, '_');
    let name = base;
    for (let n = 2; name in this.definitions; n++) name = `${base}_${n}`;
    return name;
  }
}
