import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import ts from 'typescript';
import { TypeSchemas, type Schema } from './type-schemas.js';

/** One operation of Stripe's API as the SDK calls it. */
export interface Endpoint {
  /** Class and method in the SDK: `Refund.create`. */
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** `/v1/refunds/{id}`. */
  readonly path: string;
  /** Null: takes nothing but what is in the path. */
  readonly request: Schema | null;
  readonly response: Schema;
}

export interface StripeApi {
  readonly endpoints: readonly Endpoint[];
  /** By the name that `#/$defs/NAME` refers to. */
  readonly definitions: Readonly<Record<string, Schema>>;
}

/** Reads Stripe's own description of its API out of the installed SDK: paths from its code, shapes from its types. Takes seconds. */
export function deriveApi(sdkRoot: string): StripeApi {
  const resources = join(sdkRoot, 'esm', 'resources');
  const files = readdirSync(resources, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.d.ts') && basename(file) !== 'index.d.ts')
    .map((file) => join(resources, file))
    .sort();
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    types: [],
  });
  const checker = program.getTypeChecker();
  const types = new TypeSchemas(checker);
  const endpoints: Endpoint[] = [];
  for (const file of files) {
    const declared = program.getSourceFile(file);
    if (!declared) throw new Error(`${file} is not in the program`);
    const calls = callsOf(file.replace(/\.d\.ts$/, '.js'));
    for (const statement of declared.statements) {
      if (!ts.isClassDeclaration(statement)) continue;
      const className = statement.name?.text ?? '';
      for (const member of statement.members) {
        if (!ts.isMethodDeclaration(member)) continue;
        const method = member.name.getText(declared);
        const made = calls.get(`${className}.${method}`) ?? [];
        if (made.length === 0) continue;
        const params = member.parameters.find((p) => p.name.getText(declared) === 'params');
        const folder = relative(resources, file)
          .replace(/[^/]+$/, '')
          .replaceAll('/', '.');
        const id = `${folder}${className.replace(/Resource$/, '')}.${method}`;
        const request = params?.type ? types.of(checker.getTypeFromTypeNode(params.type)) : null;
        const response = responseOf(member.type, types, checker);
        endpoints.push(...made.map((call) => ({ id, ...call, request, response })));
      }
    }
  }
  const byCall = new Map(endpoints.map((endpoint) => [`${endpoint.path} ${endpoint.method}`, endpoint]));
  const sorted = [...byCall.keys()].sort().flatMap((key) => byCall.get(key) ?? []);
  return { endpoints: sorted, definitions: types.definitions };
}

type Call = Pick<Endpoint, 'method' | 'path'>;

/** `this._makeRequest('POST', `/v1/refunds/${encodeURIComponent(id)}`, ...)` of each method, by class and method. */
function callsOf(file: string): Map<string, Call[]> {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2023, true, ts.ScriptKind.JS);
  const found = new Map<string, Call[]>();
  for (const statement of source.statements) {
    if (!ts.isClassDeclaration(statement)) continue;
    for (const member of statement.members) {
      if (!ts.isMethodDeclaration(member) || !member.body) continue;
      const visit = (node: ts.Node): void => {
        const call = callAt(node);
        const name = `${statement.name?.text ?? ''}.${member.name.getText(source)}`;
        if (call) found.set(name, [...(found.get(name) ?? []), call]);
        else ts.forEachChild(node, visit);
      };
      visit(member.body);
    }
  }
  return found;
}

function callAt(node: ts.Node): Call | null {
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return null;
  if (node.expression.name.text !== '_makeRequest') return null;
  const [verb, where] = node.arguments;
  if (!verb || !where || !ts.isStringLiteral(verb)) return null;
  const method = verb.text;
  if (method !== 'GET' && method !== 'POST' && method !== 'DELETE') throw new Error(`Stripe uses ${method}`);
  if (ts.isStringLiteral(where) || ts.isNoSubstitutionTemplateLiteral(where)) return { method, path: where.text };
  // An address that is only known at run time is no endpoint of its own.
  if (!ts.isTemplateExpression(where)) return null;
  const names = where.templateSpans.map(({ expression, literal }) => {
    const inner = ts.isCallExpression(expression) ? expression.arguments[0] : expression;
    return `{${inner?.getText() ?? ''}}${literal.text}`;
  });
  return { method, path: where.head.text + names.join('') };
}

/** `Promise<Response<T>>` is a T, `ApiListPromise<T>` a page of them. */
function responseOf(node: ts.TypeNode | undefined, types: TypeSchemas, checker: ts.TypeChecker): Schema {
  if (!node || !ts.isTypeReferenceNode(node)) return {};
  const name = node.typeName.getText();
  const [inner] = node.typeArguments ?? [];
  if (!inner) return {};
  if (name === 'Promise' && ts.isTypeReferenceNode(inner) && inner.typeName.getText() === 'Response') {
    const [value] = inner.typeArguments ?? [];
    return value ? types.of(checker.getTypeFromTypeNode(value)) : {};
  }
  const items = { type: 'array', items: types.of(checker.getTypeFromTypeNode(inner)) };
  if (name === 'ApiListPromise') {
    return exact({ object: { const: 'list' }, data: items, has_more: { type: 'boolean' }, url: { type: 'string' } });
  }
  if (name === 'ApiSearchResultPromise') {
    const nextPage = { type: ['string', 'null'] };
    const page = { object: { const: 'search_result' }, data: items, has_more: { type: 'boolean' } };
    return exact({ ...page, url: { type: 'string' }, next_page: nextPage });
  }
  const address = { type: ['string', 'null'] };
  if (name === 'V2ListPromise' || name === 'V2.ListPromise') {
    return exact({ data: items, next_page_url: address, previous_page_url: address });
  }
  return {};
}

const exact = (properties: Record<string, Schema>): Schema => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});
