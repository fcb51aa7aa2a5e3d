import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join, sep } from 'node:path';
import { alone } from './lock.mjs';
import { Plain, root, scratch } from './paths.mjs';

const modules = join(root, 'node_modules');
const stampPath = join(modules, '.berth-install');
const logPath = join(scratch, 'install.log');
const PROGRESS_MS = 5_000;

/** The Node that the repository pins (24); jest with ES modules needs it, and it boots faster than 20. */
export function nodeBin() {
  const pinned = join(modules, '.bin', 'node');
  if (existsSync(pinned)) return pinned;
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  throw new Plain(
    'node_modules/.bin/node is missing: the install script of the npm package "node" did not run.\n' +
      'Run npm ci with install scripts allowed (ignore-scripts=false), or use Node 24 or newer.',
  );
}

/** Makes node_modules match package-lock.json; takes no time when it does already. */
export async function ensureInstalled(say = console.log) {
  requireNode();
  if (isInstalled()) return;
  await alone(
    'install',
    () => install(say),
    (pid) => say(`Waiting for the installation that process ${pid} runs`),
  );
}

async function install(say) {
  if (isInstalled()) return;
  say(
    existsSync(modules)
      ? 'Dependencies have changed; installing'
      : 'Installing dependencies (first run: a minute or two)',
  );
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  const ticker = setInterval(() => say(`  still installing, ${seconds()} s (npm's log: ${logPath})`), PROGRESS_MS);
  let exit;
  try {
    exit = await runNpm(['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=notice']);
  } finally {
    clearInterval(ticker);
  }
  if (exit !== 0) throw new Plain(installFailure(exit));
  nodeBin();
  writeFileSync(stampPath, stamp());
  say(`Dependencies installed in ${seconds()} s`);
}

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new Plain(`Berth needs Node 20.19 or newer; this is ${process.version} (${process.execPath}).`);
}

/** What node_modules was made from and for. */
function stamp() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  return `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}\n`;
}

function isInstalled() {
  if (read(stampPath) === stamp()) return true;
  if (!matchesLock()) return false;
  // Installed by hand with npm; remember it.
  writeFileSync(stampPath, stamp());
  return true;
}

/** Compares npm's own record of what it installed with package-lock.json; optional packages may be left out. */
function matchesLock() {
  const record = read(join(modules, '.package-lock.json'));
  if (record === undefined) return false;
  const have = JSON.parse(record).packages ?? {};
  const want = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(want).every(([path, { version, integrity, optional, peer }]) => {
    if (path === '' || (!have[path] && (optional || peer))) return true;
    return have[path]?.version === version && have[path]?.integrity === integrity;
  });
}

function runNpm(args) {
  mkdirSync(scratch, { recursive: true });
  const log = openSync(logPath, 'w');
  const cli = process.env.npm_execpath;
  // Under npm, the node on PATH may be the one in node_modules that npm is about to delete: run npm by another.
  const [command, first] = cli?.endsWith('.js') ? [outsideNode(), [cli]] : ['npm', []];
  return new Promise((resolve) => {
    const child = spawn(command, [...first, ...args], { cwd: root, stdio: ['ignore', log, log] });
    child.once('error', (error) => resolve(error.code));
    child.once('exit', (code, signal) => resolve(code ?? signal));
  }).finally(() => closeSync(log));
}

function outsideNode() {
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'node'));
  const found = [process.env.npm_node_execpath, process.execPath, ...onPath].find(
    (path) => path && !path.includes(`${sep}node_modules${sep}`) && isRunnable(path),
  );
  return found ?? process.execPath;
}

function isRunnable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function installFailure(exit) {
  if (exit === 'ENOENT') return 'npm was not found. Install Node 20.19 or newer together with npm.';
  const said = (read(logPath) ?? '').split('\n').filter((line) => /^npm (error|ERR!)/i.test(line));
  const offline = said.some((line) => /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET/.test(line));
  return [
    `npm ci failed (${exit})${offline ? ': the npm registry cannot be reached' : ''}.`,
    ...said.slice(0, 8).map((line) => `  ${line}`),
    `The whole output is in ${logPath}.`,
  ].join('\n');
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  }
}
