import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot } from '#hardware';
import { EXIT, tell } from '../exit.js';
import { factsText, print, type Output } from '../output.js';
import { lives } from './mark.js';
import { logFile, nodeBinary, openLog } from './programs.js';
import { homeOf, readState, writeState } from './state.js';
import { aborted, stopSignal } from './stop-signal.js';
import { StartFailed, Supervisor } from './supervisor.js';
import { prepareTenant } from './tenant.js';

const DETACH_WITHIN_MS = 120_000;
const LOOK_MS = 100;

/** `berth up`: in the foreground until Ctrl-C, or detached. */
export async function up(options: { port: number; host: boolean; detach: boolean; output: Output }): Promise<void> {
  const home = homeOf();
  const { output } = options;
  const say = (text: string): void => {
    if (!output.quiet) tell(`  ${text}`);
  };
  if (options.detach) return detach(home, options, say);
  const asked = stopSignal(EXIT.failed);
  let supervisor: Supervisor;
  try {
    supervisor = await Supervisor.open({ home, port: options.port, host: options.host, say, signal: asked });
  } catch (error) {
    if (asked.aborted) process.exit(EXIT.failed);
    throw error;
  }
  const { origin } = await prepareTenant(home, supervisor.url, supervisor.platformKey);
  if (origin === 'new') say('made a tenant with $25 of credit');
  if (origin === 'topped-up') say('gave the tenant another $25: it had less than $5 left');
  show(home, supervisor.url, supervisor.platformKey, output);
  if (supervisor.adopted) return;
  writeState(home, { ready: true });
  if (!output.quiet) tell('Ctrl-C stops it; its data stays.');
  await aborted(asked);
  say('stopping');
  await supervisor.stop();
  process.exit(EXIT.ok);
}

function show(home: string, url: string, platformKey: string, output: Output): void {
  const tenantKey = readState(home).demo?.key ?? null;
  const value = { url, platformKey, tenantKey, home, logs: join(home, 'logs') };
  print(
    factsText(
      value,
      [
        ['broker', url],
        ['api guide', `${url}/docs`],
        ['tenant key', tenantKey],
        ['platform key', platformKey],
        ['kept in', join(home, 'local.json')],
        ['logs', value.logs],
      ],
      output,
    ),
  );
}

/** The supervisor goes on in the background; this returns when the broker is ready. */
async function detach(
  home: string,
  options: { port: number; host: boolean; output: Output },
  say: (text: string) => void,
): Promise<void> {
  const log = openLog(logFile(home, 'supervisor'));
  const main = join(repoRoot(), 'dist', 'apps', 'cli', 'main.js');
  const flags = ['--port', String(options.port), ...(options.host ? [] : ['--no-host'])];
  const child = spawn(nodeBinary(), [main, 'up', ...flags], {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, BERTH_HOME: home },
  });
  closeSync(log);
  child.unref();
  let ended: { readonly code: number | null } | undefined;
  child.once('exit', (code) => (ended = { code }));
  say('starting in the background');
  for (const until = Date.now() + DETACH_WITHIN_MS; Date.now() < until;) {
    // Looked at before the state, so that what it wrote last is seen.
    const over = ended;
    const { ready, url, platformKey, processes } = readState(home);
    const up = ready === true || over?.code === 0;
    if (up && lives(processes?.supervisor) && url !== undefined && platformKey !== undefined)
      return show(home, url, platformKey, options.output);
    if (over) break;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  throw new StartFailed('the broker did not start.', logFile(home, 'supervisor'));
}
