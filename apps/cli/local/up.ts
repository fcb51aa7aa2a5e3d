import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot } from '#hardware';
import { Ended, EXIT, tell } from '../exit.js';
import { factsText, print, type Output } from '../output.js';
import { isHealthy, isOurs, logFile, nodeBinary } from './programs.js';
import { homeOf, readState } from './state.js';
import { Supervisor } from './supervisor.js';
import { prepareTenant } from './tenant.js';

const DETACH_WITHIN_MS = 120_000;

/** `berth up`: in the foreground until Ctrl-C, or detached. */
export async function up(options: { port: number; host: boolean; detach: boolean; output: Output }): Promise<void> {
  const home = homeOf();
  const { output } = options;
  const say = (text: string): void => {
    if (!output.quiet) tell(`  ${text}`);
  };
  if (options.detach) return detach(home, options, say);
  const supervisor = await Supervisor.open({ home, port: options.port, host: options.host, say });
  say('making a tenant with $25 of credit, if there is none');
  await prepareTenant(home, supervisor.url, supervisor.platformKey);
  show(home, supervisor.url, supervisor.platformKey, output);
  if (supervisor.adopted) return;
  if (!output.quiet) tell('Ctrl-C stops it; its data stays.');
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  say('stopping');
  await supervisor.stop();
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
  mkdirSync(join(home, 'logs'), { recursive: true, mode: 0o700 });
  const log = openSync(logFile(home, 'supervisor'), 'a', 0o600);
  const child = spawn(
    nodeBinary(),
    [
      join(repoRoot(), 'dist', 'apps', 'cli', 'main.js'),
      'up',
      '--port',
      String(options.port),
      ...(options.host ? [] : ['--no-host']),
    ],
    {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, BERTH_HOME: home },
    },
  );
  closeSync(log);
  child.unref();
  say('starting in the background');
  for (
    const until = Date.now() + DETACH_WITHIN_MS;
    Date.now() < until;
    await new Promise((resolve) => setTimeout(resolve, 200))
  ) {
    const state = readState(home);
    const mine = state.supervisorPid === child.pid || isOurs(state.supervisorPid, 'cli/');
    const complete = state.pids?.worker !== undefined && (!options.host || state.pids.agent !== undefined);
    if (
      mine &&
      complete &&
      state.url !== undefined &&
      state.demo !== undefined &&
      state.platformKey !== undefined &&
      (await isHealthy(state.url))
    )
      return show(home, state.url, state.platformKey, options.output);
    if (child.exitCode !== null && !mine) break;
  }
  throw new Ended(EXIT.failed, `the broker did not start.\n  See ${logFile(home, 'supervisor')}`);
}
