import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { answerOf, brokerClient, getMe, listHosts } from '#client';
import { readConfig } from '#platform/config';
import { statusEmbedded } from '#platform/embedded';
import { Ended, EXIT } from '../exit.js';
import { print, rowsText, type Output } from '../output.js';
import { isOurs, nodeBinary } from './programs.js';
import { homeOf, PROGRAMS, readState } from './state.js';

interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly found: string;
  readonly fix: string;
}

const ok = (check: string, found: string): Finding => ({ check, state: 'ok', found, fix: '' });

/** `berth doctor`: each check with what was found and what to do; fails when something must be mended. */
export async function doctor(output: Output): Promise<void> {
  const home = homeOf();
  const state = readState(home);
  const findings: Finding[] = [node(), disk(home), configuration(), postgres(home)];
  for (const name of PROGRAMS) {
    findings.push(
      isOurs(state.pids?.[name], `apps/${name}/main.js`)
        ? ok(name, `runs as process ${state.pids?.[name]}`)
        : { check: name, state: 'warn', found: 'does not run', fix: 'berth up' },
    );
  }
  findings.push(...(await broker(state.url, state.platformKey)));
  print(
    rowsText(
      findings,
      [
        { title: 'check', of: (f) => f.check },
        { title: 'state', of: (f) => f.state },
        { title: 'found', of: (f) => f.found },
        { title: 'what to do', of: (f) => f.fix },
      ],
      output,
    ),
  );
  const failed = findings.filter((f) => f.state === 'fail').length;
  if (failed > 0) throw new Ended(EXIT.failed, `${failed} ${failed === 1 ? 'check' : 'checks'} failed.`);
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19))
    return ok('node', `${process.version}; programs run on ${nodeBinary()}`);
  return { check: 'node', state: 'fail', found: process.version, fix: 'install Node 20.19 or newer' };
}

function disk(home: string): Finding {
  const at = statfsSync(join(home, '..'));
  const freeGiB = (at.bavail * at.bsize) / 2 ** 30;
  const found = `${freeGiB.toFixed(1)} GiB free for ${home}`;
  if (freeGiB >= 2) return ok('disk', found);
  return {
    check: 'disk',
    state: freeGiB < 0.5 ? 'fail' : 'warn',
    found,
    fix: 'free some space, or set BERTH_HOME to another disk',
  };
}

function configuration(): Finding {
  try {
    const config = readConfig();
    return ok(
      'configuration',
      `database ${config.databaseUrl === null ? 'built in' : 'given'}, queue on ${config.redisUrl === null ? 'PostgreSQL' : 'Redis'}`,
    );
  } catch (error) {
    return {
      check: 'configuration',
      state: 'fail',
      found: error instanceof Error ? error.message.replace(/\n/g, ' ') : 'unreadable',
      fix: 'correct the variable',
    };
  }
}

function postgres(home: string): Finding {
  const status = statusEmbedded({ home });
  if (status.state === 'running') return ok('postgresql', `runs on port ${status.port}`);
  return {
    check: 'postgresql',
    state: 'warn',
    found: status.state === 'absent' ? 'was never started' : 'is stopped',
    fix: 'berth up',
  };
}

async function broker(url: string | undefined, key: string | undefined): Promise<Finding[]> {
  if (url === undefined) return [{ check: 'broker', state: 'warn', found: 'was never started here', fix: 'berth up' }];
  let health: Response;
  try {
    health = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(3_000) });
  } catch {
    return [{ check: 'broker', state: 'warn', found: `does not answer at ${url}`, fix: 'berth up' }];
  }
  const findings = [
    health.ok
      ? ok('broker', `answers at ${url}, all its checks pass`)
      : ({ check: 'broker', state: 'fail', found: await health.text(), fix: 'see the logs of the api' } as const),
  ];
  const ahead = Math.abs(Date.parse(health.headers.get('date') ?? new Date().toUTCString()) - Date.now());
  findings.push(
    ahead < 5_000
      ? ok('clock', 'agrees with the broker')
      : {
          check: 'clock',
          state: 'fail',
          found: `${Math.round(ahead / 1_000)} s apart from the broker`,
          fix: 'set the clock',
        },
  );
  if (key === undefined) return findings;
  const client = brokerClient({ url, key });
  try {
    await answerOf(getMe({ client }));
    findings.push(ok('key', 'the local platform key works'));
    const { items } = await answerOf(listHosts({ client, query: { limit: 200 } }));
    const ready = items.filter((h) => h.state === 'ready').length;
    findings.push(
      ready > 0
        ? ok('hosts', `${ready} ready`)
        : {
            check: 'hosts',
            state: 'warn',
            found: 'none is ready',
            fix: 'berth hosts add, or berth up without --no-host',
          },
    );
  } catch (error) {
    findings.push({
      check: 'key',
      state: 'fail',
      found: error instanceof Error ? error.message : 'refused',
      fix: 'berth down, then berth up',
    });
  }
  return findings;
}
