// Compares what the migrations make of an empty database with migrations/catalogue.txt and with the table definitions;
// `--write` writes the catalogue instead.
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { pathToFileURL } from 'node:url';
import { dist, main, Plain, root } from './lib/paths.mjs';
import { ensureBuilt, ensureInstalled } from './lib/prepare.mjs';

const CATALOGUE = join(root, 'migrations', 'catalogue.txt');

await main(async () => {
  await ensureInstalled();
  await ensureBuilt();
  const built = (...path) => import(pathToFileURL(join(dist, ...path)).href);
  const { checkMigrations } = await built('migrations', 'check', 'check.js');
  const { removeEmbedded, startEmbedded } = await built('libs', 'platform', 'embedded', 'index.js');
  const write = process.argv.includes('--write');
  const committed = write ? null : await linesOf(CATALOGUE);
  const home = await mkdtemp(join(tmpdir(), 'berth-migrations-'));
  // The server may run under another account, which must be able to pass.
  await chmod(home, 0o755);
  try {
    const { ownerUrl } = await startEmbedded({ home, fsync: false });
    const { catalogue, problems } = await checkMigrations(ownerUrl, 'of a database that is thrown away', committed);
    if (write) await writeFile(CATALOGUE, catalogue.map((line) => `${line}\n`).join(''));
    if (problems.length > 0) {
      const parts = problems.map(({ heading, lines }) => `${heading}:\n${lines.map((l) => `  ${l}`).join('\n')}`);
      throw new Plain(
        `${parts.join('\n\n')}\n\nWhere the change is meant: "npm run catalogue", and commit what it writes.`,
      );
    }
    console.log(
      write
        ? `Wrote migrations/catalogue.txt: ${catalogue.length} lines`
        : `Migrations, catalogue and table definitions agree (${catalogue.length} lines)`,
    );
  } finally {
    await removeEmbedded({ home });
    await rm(home, { recursive: true, force: true });
  }
});

async function linesOf(file) {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '');
}
