// Runs the specs; arguments go to jest: `npm test -- libs/kernel`.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { main, root } from './lib/paths.mjs';
import { ensureBuilt, ensureInstalled, nodeBin } from './lib/prepare.mjs';

await main(async () => {
  await ensureInstalled();
  // Specs run from source; those that start a whole process start the built one.
  await ensureBuilt();
  const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
  const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const child = spawn(nodeBin(), [...flags, jest, ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
  // The terminal sends Ctrl-C to jest as well; stay until it has finished.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
});
