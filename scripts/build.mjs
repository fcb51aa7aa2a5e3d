// Compiles into dist/; `--all` starts afresh.
import { main } from './lib/paths.mjs';
import { ensureBuilt, ensureInstalled } from './lib/prepare.mjs';

await main(async () => {
  await ensureInstalled();
  const { compiled, total } = await ensureBuilt(console.log, { all: process.argv.includes('--all') });
  if (compiled === 0) console.log(`dist/ is up to date (${total} files)`);
});
