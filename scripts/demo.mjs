// `npm run demo`: installs what is missing, builds what changed, then shows the product. Runs on Node 20.19 before anything is installed.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { main, dist } from './lib/paths.mjs';
import { ensureBuilt, ensureInstalled, nodeBin } from './lib/prepare.mjs';

await main(async () => {
  const quiet = process.argv.includes('--json');
  const say = quiet ? () => undefined : console.log;
  await ensureInstalled(say);
  await ensureBuilt(say);
  const child = spawn(nodeBin(), [join(dist, 'apps', 'cli', 'demo', 'main.js'), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  // Ctrl-C reaches the whole group of the terminal; the story stops the broker, we only wait for it.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1))));
});
