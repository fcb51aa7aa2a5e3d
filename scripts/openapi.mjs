// Writes docs/openapi.json and the client generated from it; `--check` fails when either is not what the routes say.
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { tmpdir } from 'node:os';
import { pathToFileURL } from 'node:url';
import { createClient } from '@hey-api/openapi-ts';
import { format } from 'prettier';
import { dist, main, Plain, root } from './lib/paths.mjs';
import { ensureBuilt, ensureInstalled } from './lib/prepare.mjs';

const DOCUMENT = join(root, 'docs', 'openapi.json');
const CLIENT = join(root, 'libs', 'client', 'generated');

await main(async () => {
  await ensureInstalled();
  await ensureBuilt();
  const check = process.argv.includes('--check');
  const at = await mkdtemp(join(tmpdir(), 'berth-openapi-'));
  try {
    const document = await documentText();
    await writeFile(join(at, 'openapi.json'), document);
    await generate(join(at, 'openapi.json'), join(at, 'client'));
    if (check) {
      const stale = [
        ...(document === (await textOf(DOCUMENT)) ? [] : ['docs/openapi.json']),
        ...(await differences(join(at, 'client'), CLIENT)),
      ];
      if (stale.length > 0)
        throw new Plain(`Not what the routes say:\n  ${stale.join('\n  ')}\nRun "npm run openapi".`);
      console.log('docs/openapi.json and the generated client are up to date');
      return;
    }
    await mkdir(join(root, 'docs'), { recursive: true });
    await writeFile(DOCUMENT, document);
    await rm(CLIENT, { recursive: true, force: true });
    await cp(join(at, 'client'), CLIENT, { recursive: true });
    const operations = Object.values(JSON.parse(document).paths).flatMap((item) => Object.keys(item)).length;
    console.log(`Wrote ${relative(root, DOCUMENT)} and ${relative(root, CLIENT)}: ${operations} operations`);
  } finally {
    await rm(at, { recursive: true, force: true });
  }
});

async function documentText() {
  const app = (file) => import(pathToFileURL(join(dist, 'apps', 'api', file)).href);
  const [{ routes }, { openApiDocument }] = await Promise.all([app('controllers.js'), app('document.js')]);
  return pretty(JSON.stringify(openApiDocument(routes())), 'json');
}

async function generate(document, folder) {
  await createClient({
    input: document,
    output: { path: folder, importFileExtension: '.js' },
    plugins: ['@hey-api/client-fetch', '@hey-api/sdk', '@hey-api/typescript'],
    logs: { level: 'silent' },
  });
  for (const file of await filesOf(folder)) {
    // The generator's own runtime is not written for exactOptionalPropertyTypes; what is made from the document is checked.
    const runtime = /^(client|core)\//.test(file) ? '// @ts-nocheck\n' : '';
    await writeFile(join(folder, file), await pretty(runtime + (await textOf(join(folder, file))), 'typescript'));
  }
}

async function pretty(text, parser) {
  const options = JSON.parse(await readFile(join(root, '.prettierrc.json'), 'utf8'));
  return format(text, { ...options, parser });
}

async function differences(made, kept) {
  const names = [...new Set([...(await filesOf(made)), ...(await filesOf(kept))])].sort();
  const pairs = await Promise.all(
    names.map(async (name) => [name, await textOf(join(made, name)), await textOf(join(kept, name))]),
  );
  return pairs.filter(([, a, b]) => a !== b).map(([name]) => `libs/client/generated/${name}`);
}

/** Null when there is none. */
async function textOf(file) {
  return readFile(file, 'utf8').catch(() => null);
}

async function filesOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((e) => e.isFile()).map((e) => relative(folder, join(e.parentPath, e.name)));
}
