import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

let root: string | undefined;

/** The folder of Berth's package.json, found upwards from this file, so that source and build see the same data files. */
export function repoRoot(from: string = import.meta.dirname): string {
  if (root !== undefined) return root;
  for (let folder = from; ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest) && isBerth(manifest)) return (root = folder);
    if (dirname(folder) === folder)
      throw new Error(`no package.json of berth above ${from}: data files cannot be found`);
  }
}

function isBerth(manifest: string): boolean {
  const parsed: unknown = JSON.parse(readFileSync(manifest, 'utf8'));
  return typeof parsed === 'object' && parsed !== null && 'name' in parsed && parsed.name === 'berth';
}

/** Absolute path of a data file given relative to the repository root. The build copies no data: they stay where they are. */
export function dataFile(relativePath: string): string {
  return join(repoRoot(), relativePath);
}
