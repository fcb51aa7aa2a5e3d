import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { Plain, root } from './paths.mjs';

/** Folders whose TypeScript ships or is run by a script; dist/ mirrors them. */
export const sourceFolders = ['apps', 'libs', 'migrations', 'scripts', join('test', 'bench'), join('test', 'sim')];

const isSource = (name) => name.endsWith('.ts') && !/\.(spec|contract|d)\.ts$/.test(name);

/**
 * Compiles what changed since the last call (by size and time of change), and removes outputs whose source is gone.
 * Types are not checked here: `npm run typecheck` does that.
 */
export async function compile({ all = false, base = root } = {}) {
  const dist = join(base, 'dist');
  const manifestPath = join(dist, '.build.json');
  const outputOf = (path) => join(dist, path).replace(/\.ts$/, '.js');
  const tool = toolStamp();
  const last = all ? undefined : readManifest(manifestPath);
  const known = last?.tool === tool ? last.files : {};
  const files = {};
  for (const folder of sourceFolders) collect(base, folder, files);
  const changed = Object.keys(files).filter((path) => known[path] !== files[path] || !existsSync(outputOf(path)));
  const gone = Object.keys(last?.files ?? {}).filter((path) => !(path in files));

  if (!last) rmSync(dist, { recursive: true, force: true });
  for (const path of gone) for (const end of ['', '.map']) rmSync(outputOf(path) + end, { force: true });
  if (changed.length > 0) {
    const failures = await compileFiles(base, changed, outputOf);
    for (const { path } of failures) delete files[path];
    writeWhole(manifestPath, JSON.stringify({ tool, files }));
    if (failures.length > 0) throw new Plain(failures.map(({ text }) => text).join('\n\n'));
  } else if (gone.length > 0) {
    writeWhole(manifestPath, JSON.stringify({ tool, files }));
  }
  return { compiled: changed.length, removed: gone.length, total: Object.keys(files).length };
}

async function compileFiles(base, paths, outputOf) {
  const { transformFile } = await import('@swc/core');
  const failures = [];
  const one = async (path) => {
    const output = outputOf(path);
    try {
      const { code, map } = await transformFile(join(base, path), {
        configFile: join(root, '.swcrc'),
        cwd: root,
        sourceFileName: relative(dirname(output), join(base, path)),
      });
      mkdirSync(dirname(output), { recursive: true });
      writeWhole(`${output}.map`, map);
      writeWhole(output, `${code}\n//# sourceMappingURL=${basename(output)}.map\n`);
    } catch (error) {
      failures.push({ path, text: `${path}: ${error.message}` });
    }
  };
  // swc works on its own threads; this keeps them busy without opening every file at once.
  const queue = [...paths];
  const lane = async () => {
    for (let path = queue.shift(); path !== undefined; path = queue.shift()) await one(path);
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  return failures;
}

function collect(base, folder, files) {
  if (!existsSync(join(base, folder))) return;
  for (const entry of readdirSync(join(base, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== 'node_modules') collect(base, path, files);
    if (!entry.isFile() || !isSource(entry.name)) continue;
    const { size, mtimeMs } = statSync(join(base, path));
    files[path] = `${size} ${mtimeMs}`;
  }
}

/** Changes with anything but a source that decides what the outputs look like. */
function toolStamp() {
  const hash = createHash('sha256');
  for (const path of ['.swcrc', 'node_modules/@swc/core/package.json', 'scripts/lib/compile.mjs']) {
    hash.update(readFileSync(join(root, path)));
  }
  return hash.digest('hex');
}

function readManifest(manifestPath) {
  try {
    return JSON.parse(readFileSync(manifestPath, 'utf8'));
  } catch {
    // Missing or cut short by a kill: build everything.
    return undefined;
  }
}

/** A process that starts meanwhile reads the old text or the new one, never half. */
function writeWhole(path, text) {
  writeFileSync(`${path}.draft`, text);
  renameSync(`${path}.draft`, path);
}
