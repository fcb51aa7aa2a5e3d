import { accessSync, chmodSync, constants, existsSync, mkdirSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { serverAccount, type ServerAccount } from './account.js';
import { copyBinaries, installedBinaries, runnableBy } from './binaries.js';
import { clearLeftover, findServer, halt, initialise, launch, type Cluster } from './cluster.js';
import { embeddedFailure, errorCode } from './failure.js';
import { withFileLock } from './file-lock.js';
import { candidatePorts, isFree } from './port.js';
import { awaitAnswer, provision } from './provision.js';
import { closedFolder, openPlace } from './reach.js';
import {
  connectionUrl,
  DATABASE,
  lockPath,
  logPath,
  newPassword,
  OWNER,
  readState,
  writeState,
  type EmbeddedState,
} from './state.js';

export interface StartOptions {
  /** Folder of Berth's own files; the cluster is made below it when it is not there yet. */
  readonly home: string;
  /** Gets one plain line for each thing worth telling the person who waits. */
  readonly log?: (line: string) => void;
  /** False trades safety after a power cut for speed; for tests. */
  readonly fsync?: boolean;
  /** For tests, which make one database per spec file. */
  readonly ownerMayCreateDatabases?: boolean;
}

export interface RunningPostgres {
  /** Connects as the owner of the database, which is not a superuser. */
  readonly ownerUrl: string;
  readonly port: number;
  readonly dataDir: string;
  /** The server was already running. */
  readonly adopted: boolean;
  /** The server had been killed before and was mended from its log. */
  readonly recovered: boolean;
}

export type EmbeddedStatus =
  | { readonly state: 'absent' }
  | { readonly state: 'stopped'; readonly dataDir: string }
  | { readonly state: 'running'; readonly dataDir: string; readonly port: number; readonly pid: number };

/** A killed server's children hold its shared memory for a moment; attempts and the pause between them. */
const LAUNCH_ATTEMPTS = 20;
const LAUNCH_PAUSE_MS = 250;

/** Starts the built-in PostgreSQL of `home`, or adopts it when it runs. Safe to call from many processes at once. */
export async function startEmbedded(options: StartOptions): Promise<RunningPostgres> {
  const { log = () => undefined, fsync = true, ownerMayCreateDatabases = false } = options;
  const home = openHome(options.home);
  return withFileLock(lockPath(home), async () => {
    const known = readState(home);
    const running = known && findServer(known.dataDir);
    if (known?.provisioned && running?.running) {
      const ownerUrl = connectionUrl(OWNER, known.ownerPassword, running.port, DATABASE);
      const answers = await awaitAnswer(ownerUrl, () => findServer(known.dataDir).running);
      if (answers) return { ownerUrl, port: running.port, dataDir: known.dataDir, adopted: true, recovered: false };
    }
    let state = await prepare(home, known, log);
    if (!existsSync(join(state.dataDir, 'PG_VERSION'))) {
      log(`Making a new database in ${state.dataDir}`);
      await initialise(clusterOf(home, state), state.superuserPassword, fsync);
    }
    const before = findServer(state.dataDir);
    const recovered = !before.running && before.leftover;
    if (recovered) log('The database was not shut down properly; it is being recovered');
    const port = before.running ? before.port : await launchOnFreePort(home, state, fsync);
    if (!state.provisioned) {
      await provision(state, port, ownerMayCreateDatabases);
    }
    state = { ...state, port, provisioned: true };
    writeState(home, state);
    const ownerUrl = connectionUrl(OWNER, state.ownerPassword, port, DATABASE);
    if (!(await awaitAnswer(ownerUrl, () => findServer(state.dataDir).running))) {
      throw embeddedFailure(`The built-in PostgreSQL stopped right after its start. Its log is ${logPath(home)}.`);
    }
    return { ownerUrl, port, dataDir: state.dataDir, adopted: before.running, recovered };
  });
}

/** Stops the server of `home` if it runs; says whether it did. */
export async function stopEmbedded(options: { readonly home: string }): Promise<{ stopped: boolean }> {
  if (!existsSync(options.home)) return { stopped: false };
  const home = realpathSync(options.home);
  return withFileLock(lockPath(home), async () => {
    const state = readState(home);
    if (!state || !findServer(state.dataDir).running) return { stopped: false };
    await halt(clusterOf(home, state));
    return { stopped: true };
  });
}

/** Stops the server and deletes its data, wherever it lies. There is no way back. */
export async function removeEmbedded(options: { readonly home: string }): Promise<void> {
  await stopEmbedded(options);
  if (!existsSync(options.home)) return;
  const home = realpathSync(options.home);
  await withFileLock(lockPath(home), async () => {
    const state = readState(home);
    if (!state) return;
    rmSync(state.dataDir, { recursive: true, force: true });
    if (state.place !== null) rmSync(state.place, { recursive: true, force: true });
    rmSync(join(home, 'postgres.json'), { force: true });
  });
}

/** Looks, starts nothing and takes no lock. */
export function statusEmbedded(options: { readonly home: string }): EmbeddedStatus {
  const state = readState(resolve(options.home));
  if (!state) return { state: 'absent' };
  const { dataDir } = state;
  const server = findServer(dataDir);
  if (!server.running) return existsSync(dataDir) ? { state: 'stopped', dataDir } : { state: 'absent' };
  return { state: 'running', dataDir, port: server.port, pid: server.pid };
}

function openHome(path: string): string {
  try {
    mkdirSync(path, { recursive: true });
    accessSync(path, constants.W_OK | constants.X_OK);
    return realpathSync(path);
  } catch (error) {
    throw embeddedFailure(`The Berth home ${path} cannot be made or written to (${errorCode(error)}).`);
  }
}

function clusterOf(home: string, state: EmbeddedState): Cluster {
  return { dataDir: state.dataDir, programs: state.programs, account: state.account, logFile: logPath(home) };
}

/** Settles where the data and programs lie and who runs them, and writes that down before anything is made. */
async function prepare(
  home: string,
  known: EmbeddedState | undefined,
  log: (line: string) => void,
): Promise<EmbeddedState> {
  const account = serverAccount(known?.dataDir);
  const inside = join(home, 'postgres');
  const installed = installedBinaries();
  let place = known?.place ?? null;
  const placeFor = (what: string, why: string): string => {
    if (place === null) place = openPlace(home);
    log(`${what} lies in ${place}: ${why}`);
    return place;
  };

  let dataDir = known?.dataDir ?? inside;
  const closed = account ? closedFolder(known ? join(dataDir, '..') : home, account) : undefined;
  if (closed !== undefined && account) {
    if (known && existsSync(dataDir)) {
      throw embeddedFailure(
        `The database in ${dataDir} cannot be reached by ${account.name}, who must run it: ${closed} is closed to others.`,
        `Run chmod a+x ${closed}, or move the Berth home.`,
      );
    }
    dataDir = join(
      placeFor('The database', `${account.name}, who runs it, may not pass through ${closed}`),
      'postgres',
    );
  }
  const programs =
    account && !runnableBy(installed, account)
      ? copyBinaries(
          installed,
          placeFor('The PostgreSQL program', `${account.name} cannot run it from ${installed.root}`),
        )
      : installed;

  if (!known) await setAside(home, { dataDir, programs: programs.root, account, logFile: logPath(home) }, log);
  const state: EmbeddedState = {
    version: 1,
    superuserPassword: known?.superuserPassword ?? newPassword(),
    ownerPassword: known?.ownerPassword ?? newPassword(),
    port: known?.port ?? null,
    provisioned: (known?.provisioned ?? false) && existsSync(dataDir),
    dataDir,
    place,
    programs: programs.root,
    account: account satisfies ServerAccount | null,
  };
  writeState(home, state);
  return state;
}

/**
 * Data without our state file: the home was deleted while the data lay elsewhere, or the file was lost. Its passwords
 * are gone, so the data is kept under another name and never opened.
 */
async function setAside(home: string, cluster: Cluster, log: (line: string) => void): Promise<void> {
  if (!existsSync(cluster.dataDir)) return;
  if (findServer(cluster.dataDir).running) await halt(cluster);
  let number = 1;
  while (existsSync(`${cluster.dataDir}.old-${number}`)) number += 1;
  const kept = `${cluster.dataDir}.old-${number}`;
  renameSync(cluster.dataDir, kept);
  chmodSync(kept, 0o700);
  log(`${cluster.dataDir} belongs to an earlier Berth home whose passwords are gone (${home}); kept as ${kept}`);
}

async function launchOnFreePort(home: string, state: EmbeddedState, fsync: boolean): Promise<number> {
  clearLeftover(state.dataDir);
  let failure: unknown;
  let attempts = 0;
  for (const port of candidatePorts(home, state.port)) {
    if (!(await isFree(port))) continue;
    for (; attempts < LAUNCH_ATTEMPTS; attempts += 1) {
      try {
        await launch(clusterOf(home, state), port, fsync);
        return port;
      } catch (error) {
        failure = error;
        const text = String(error);
        if (!(await isFree(port))) break;
        if (!text.includes('shared memory block')) throw error;
        await pause(LAUNCH_PAUSE_MS);
      }
    }
    if (attempts >= LAUNCH_ATTEMPTS) break;
    attempts += 1;
  }
  throw failure ?? embeddedFailure('No free port was found for the built-in PostgreSQL between 20000 and 32000.');
}
