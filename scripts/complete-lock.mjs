// Adds to package-lock.json the builds for other platforms that npm left out.
//
// npm leaves an optional package out of the lock when the registry at hand does not carry it, and `npm ci` (npm 11)
// then refuses the lock everywhere. Versions are exact in the parent's optionalDependencies and the platform is in the
// name, so the entry can be written; only its integrity hash is unknown. Run it after `npm install`.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { main, Plain, root } from './lib/paths.mjs';

const SYSTEMS = ['darwin', 'linux', 'win32', 'android', 'freebsd', 'openharmony'];
const NICKNAMES = { mac: 'darwin', win: 'win32' };
const PROCESSORS = ['arm64', 'x64', 'ia32', 'ppc64', 's390x', 'riscv64', 'loong64'];

await main(() => {
  const path = join(root, 'package-lock.json');
  const lock = JSON.parse(readFileSync(path, 'utf8'));
  const added = [];
  for (const [parent, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (isLocked(lock.packages, parent, name)) continue;
      lock.packages[`node_modules/${name}`] = entryFor(name, version, entry.dev);
      added.push(`${name}@${version}`);
    }
  }
  if (added.length > 0) {
    lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')));
    writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
  }
  console.log(
    added.length === 0 ? 'package-lock.json is complete' : `Added to package-lock.json:\n  ${added.join('\n  ')}`,
  );
});

/** npm looks in the parent's own node_modules, then in each one above it. */
function isLocked(packages, parent, name) {
  for (let at = parent; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('node_modules/') - 1))) {
    if (packages[`${at}/node_modules/${name}`]) return true;
  }
  return packages[`node_modules/${name}`] !== undefined;
}

function entryFor(name, version, dev) {
  const words = name.split(/[-/]/);
  const os = words.map((word) => NICKNAMES[word] ?? word).find((word) => SYSTEMS.includes(word));
  const cpu = PROCESSORS.find((known) => words.includes(known)) ?? (words.includes('arm') ? 'arm' : undefined);
  if (!os || !cpu || !/^\d/.test(version)) {
    throw new Plain(
      `${name}@${version}: its name does not tell the platform, or its version is a range; add it by hand.`,
    );
  }
  const c = words.some((word) => word.startsWith('musl'))
    ? 'musl'
    : words.some((word) => word.startsWith('gnu'))
      ? 'glibc'
      : '';
  const libc = os === 'linux' && c !== '' ? { libc: [c] } : {};
  return { version, cpu: [cpu], ...(dev ? { dev: true } : {}), ...libc, optional: true, os: [os] };
}
