import { compile } from './compile.mjs';
import { alone } from './lock.mjs';

export { compile } from './compile.mjs';
export { ensureInstalled, nodeBin } from './install.mjs';

/** Brings dist/ up to date; call after ensureInstalled. */
export async function ensureBuilt(say = console.log, options = {}) {
  const started = Date.now();
  const done = await alone('build', () => compile(options));
  if (done.compiled > 0) say(`Built ${done.compiled} of ${done.total} files in ${Date.now() - started} ms`);
  return done;
}
