// Writes the help of every command into docs/cli.md, below its mark; a spec fails when it is stale.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { dist, main, root } from './lib/paths.mjs';
import { ensureBuilt, ensureInstalled } from './lib/prepare.mjs';

const PAGE = join(root, 'docs', 'cli.md');
const MARK = '<!-- commands -->\n\n';

await main(async () => {
  await ensureInstalled();
  await ensureBuilt();
  const cli = (file) => import(pathToFileURL(join(dist, 'apps', 'cli', file)).href);
  const [{ program }, { leavesOf, referenceOf }] = await Promise.all([cli('program.js'), cli('reference.js')]);
  const [head] = (await readFile(PAGE, 'utf8')).split(MARK);
  await writeFile(PAGE, head + MARK + referenceOf(program()));
  console.log(`Wrote docs/cli.md: ${leavesOf(program()).length} commands`);
});
