import type { JsonSchema, OpenApiDocument } from './openapi.js';

const escape = (text: unknown): string => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** The API guide as one page without scripts: it works offline and under a policy that allows nothing but its style. */
export function docsPage(document: OpenApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const chapters = document.tags.map(({ name }) => {
    const own = operations.filter(({ operation }) => (operation['tags'] as string[]).includes(name));
    return `<section id="${escape(anchor(name))}"><h2>${escape(name)}</h2>${own.map(operationHtml).join('')}</section>`;
  });
  const schemas = Object.entries(document.components['schemas'] as Record<string, JsonSchema>).map(
    ([name, schema]) =>
      `<details id="schema-${escape(name)}"><summary><code>${escape(name)}</code></summary>${schemaHtml(schema)}</details>`,
  );
  const nav = document.tags.map(({ name }) => `<a href="#${escape(anchor(name))}">${escape(name)}</a>`).join('');
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escape(document.info.title)} API</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs/style.css"></head><body>
<nav><strong>${escape(document.info.title)} ${escape(document.info.version)}</strong>${nav}<a href="#schemas">Schemas</a><a href="/openapi.json">openapi.json</a></nav>
<main><h1>${escape(document.info.title)} API</h1><p>${inline(document.info.description)}</p>${chapters.join('\n')}
<section id="schemas"><h2>Schemas</h2>${schemas.join('\n')}</section></main></body></html>`;
}

const anchor = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]+/g, '-');

/** Text with `code` marks and paragraphs. */
function inline(text: unknown): string {
  return escape(text)
    .replace(/`([^`]+)`/g, '<code>$1</code>')
    .replace(/\n\n/g, '<br><br>');
}

function operationHtml({ path, method, operation }: { path: string; method: string; operation: JsonSchema }): string {
  const parameters = (operation['parameters'] ?? []) as {
    name: string;
    in: string;
    required: boolean;
    description?: string;
    schema: JsonSchema;
  }[];
  const rows = parameters.map(
    (p) =>
      `<tr><td><code>${escape(p.name)}</code></td><td>${escape(p.in)}${p.required ? ', required' : ''}</td><td>${typeHtml(p.schema)}</td><td>${inline(p.description ?? '')}</td></tr>`,
  );
  const body = contentSchema(operation['requestBody'] as JsonSchema | undefined);
  const responses = Object.entries(operation['responses'] as Record<string, JsonSchema>).map(
    ([status, response]) =>
      `<tr><td>${escape(status)}</td><td>${inline(response['description'])}</td><td>${typeHtml(contentSchema(response))}</td></tr>`,
  );
  return `<details id="${escape(operation['operationId'])}"><summary><b class="${escape(method)}">${escape(method)}</b> <code>${escape(path)}</code> ${escape(operation['summary'])}</summary>
${operation['description'] === undefined ? '' : `<p>${inline(operation['description'])}</p>`}
${rows.length > 0 ? `<h4>Parameters</h4><table>${rows.join('')}</table>` : ''}
${body ? `<h4>Body</h4>${schemaHtml(body)}` : ''}
<h4>Answers</h4><table>${responses.join('')}</table></details>`;
}

function contentSchema(holder: JsonSchema | undefined): JsonSchema | undefined {
  const content = holder?.['content'] as Record<string, { schema: JsonSchema }> | undefined;
  return content && Object.values(content)[0]?.schema;
}

/** An object as a table of its fields; anything else as its type. */
function schemaHtml(schema: JsonSchema): string {
  const properties = schema['properties'] as Record<string, JsonSchema> | undefined;
  const about = schema['description'] === undefined ? '' : `<p>${inline(schema['description'])}</p>`;
  if (!properties) return `${about}<p>${typeHtml(schema)}</p>`;
  const required = (schema['required'] ?? []) as string[];
  const rows = Object.entries(properties).map(
    ([name, field]) =>
      `<tr><td><code>${escape(name)}</code>${required.includes(name) ? ' *' : ''}</td><td>${typeHtml(field)}</td><td>${inline(field['description'] ?? '')}${
        field['default'] === undefined ? '' : ` Default <code>${escape(JSON.stringify(field['default']))}</code>.`
      }</td></tr>`,
  );
  return `${about}<table>${rows.join('')}</table>`;
}

function typeHtml(schema: JsonSchema | undefined): string {
  if (!schema) return '';
  if (typeof schema['$ref'] === 'string') {
    const name = schema['$ref'].replace('#/components/schemas/', '');
    return `<a href="#schema-${escape(name)}">${escape(name)}</a>`;
  }
  if (Array.isArray(schema['enum'])) return schema['enum'].map((v) => `<code>${escape(v)}</code>`).join(' | ');
  if (schema['const'] !== undefined) return `<code>${escape(JSON.stringify(schema['const']))}</code>`;
  const choices = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(choices)) return choices.map((choice: JsonSchema) => typeHtml(choice)).join(' | ');
  if (schema['type'] === 'array') return `list of ${typeHtml(schema['items'] as JsonSchema | undefined)}`;
  if (schema['properties'] !== undefined) return schemaHtml(schema);
  const limits = ['format', 'pattern', 'minimum', 'maximum', 'minLength', 'maxLength']
    .filter((key) => schema[key] !== undefined && Math.abs(Number(schema[key])) !== Number.MAX_SAFE_INTEGER)
    .map((key) => `${key} <code>${escape(schema[key])}</code>`);
  const type = [schema['type'] ?? 'any'].flat().join(' | ');
  return `${escape(type)}${limits.length > 0 ? ` <small>${limits.join(', ')}</small>` : ''}`;
}

export const docsStyle = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent) }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; display: grid; grid-template-columns: 13rem minmax(0, 60rem) }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; box-sizing: border-box; padding: 1.5rem 1rem; border-right: 1px solid var(--line); display: flex; flex-direction: column; gap: .3rem }
nav a { color: inherit } main { padding: 1rem 2rem 6rem }
details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; padding: .5rem .8rem } summary { cursor: pointer }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 } td { border-top: 1px solid var(--line); padding: .3rem .6rem .3rem 0; vertical-align: top; overflow-wrap: anywhere }
h4 { margin: .8rem 0 .2rem } code { font: 13px ui-monospace, monospace } small { opacity: .7 }
b { display: inline-block; width: 4.2rem; font: 600 12px ui-monospace, monospace }
.GET { color: #1a7f5a } .POST { color: #2563c9 } .PUT, .PATCH { color: #a86400 } .DELETE { color: #c2362b }
@media (max-width: 50rem) { body { display: block } nav { position: static; height: auto } main { padding: 1rem } }
`;
