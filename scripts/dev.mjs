// Rebuilds on every change; with the name of an app it also runs that app and restarts it: `node scripts/dev.mjs api`.
import { spawn } from 'node:child_process';
import { existsSync, watch } from 'node:fs';
import { join } from 'node:path';
import { sourceFolders } from './lib/compile.mjs';
import { dist, main, Plain, root } from './lib/paths.mjs';
import { ensureBuilt, ensureInstalled, nodeBin } from './lib/prepare.mjs';

/** Editors save in bursts. */
const SETTLE_MS = 80;

await main(async () => {
  await ensureInstalled();
  await ensureBuilt();
  const [app, ...args] = process.argv.slice(2);
  if (app !== undefined) run(app, args);

  let timer;
  const rebuild = () =>
    ensureBuilt().catch((error) => {
      if (!(error instanceof Plain)) throw error;
      console.error(error.message);
    });
  for (const folder of sourceFolders.map((name) => join(root, name)).filter((path) => existsSync(path))) {
    watch(folder, { recursive: true }, (_event, file) => {
      if (!file?.endsWith('.ts')) return;
      clearTimeout(timer);
      timer = setTimeout(rebuild, SETTLE_MS);
    });
  }
  console.log('Watching; Ctrl-C ends it');
  await new Promise(() => undefined);
});

function run(app, args) {
  const entry = join(dist, 'apps', app, 'main.js');
  if (!existsSync(entry)) throw new Plain(`There is no app "${app}": ${entry} does not exist.`);
  spawn(nodeBin(), ['--watch', '--enable-source-maps', entry, ...args], { cwd: root, stdio: 'inherit' });
}
