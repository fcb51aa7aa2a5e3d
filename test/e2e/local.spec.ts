import { afterAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { removeEmbedded } from '#platform/embedded';
import { lives, type Mark } from '../../apps/cli/local/mark.js';
import type { LocalState, ProgramName } from '../../apps/cli/local/state.js';

const root = join(import.meta.dirname, '../..');
const home = mkdtempSync(join(tmpdir(), 'berth-local-e2e-'));
const env = {
  PATH: process.env['PATH'],
  HOME: home,
  BERTH_HOME: join(home, 'berth'),
  BERTH_CLI_CONFIG: join(home, 'config'),
};

function berth(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) =>
    execFile(process.execPath, [join(root, 'bin', 'berth'), ...args], { cwd: root, env }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr }),
    ),
  );
}

const state = (): LocalState => JSON.parse(readFileSync(join(home, 'berth', 'local.json'), 'utf8')) as LocalState;

function markOf(name: ProgramName | 'supervisor'): Mark {
  const mark = state().processes?.[name];
  if (!mark) throw new Error(`the ${name} has no mark`);
  return mark;
}

/** Asks the doctor until it is content, or fails the test with what it finds. */
async function becomesWell(): Promise<void> {
  for (let looks = 0; ; looks++) {
    const { code, stdout, stderr } = await berth('doctor');
    if (code === 0 && !/\twarn\t/.test(stdout)) return;
    if (looks === 60) throw new Error(`${stdout}${stderr}`);
  }
}

describe('the broker of one machine', () => {
  afterAll(async () => {
    await berth('down');
    await removeEmbedded({ home: env.BERTH_HOME });
    rmSync(home, { recursive: true, force: true });
  }, 60_000);

  it('comes up once, however many ask; its state is readable by its owner only', async () => {
    const both = await Promise.all([
      berth('up', '--detach', '--json', '--port', '0'),
      berth('up', '--detach', '--json', '--port', '0'),
    ]);
    expect(both.map((r) => [r.code, r.stderr.includes('failed')])).toEqual([
      [0, false],
      [0, false],
    ]);
    expect(both[0].stdout).toBe(both[1].stdout);
    expect(statSync(join(home, 'berth', 'local.json')).mode & 0o077).toBe(0);
    await becomesWell();
  }, 120_000);

  it('is not taken for dead by another one while it stands still for some seconds', async () => {
    const before = [markOf('supervisor'), markOf('api')];
    const asked = markOf('api').pid;
    process.kill(asked, 'SIGSTOP');
    const up = berth('up');
    await pause(6_000);
    process.kill(asked, 'SIGCONT');
    expect(await up).toMatchObject({ code: 0 });
    expect([markOf('supervisor'), markOf('api')]).toEqual(before);
    await becomesWell();
  }, 120_000);

  it('brings back what was killed', async () => {
    for (const name of ['agent', 'worker', 'api'] as const) {
      const mark = markOf(name);
      process.kill(mark.pid, 'SIGKILL');
      while (lives(mark) || !lives(state().processes?.[name])) await pause(50);
    }
    await becomesWell();
  }, 120_000);

  it('comes up with an agent whose credential has died, as the same host', async () => {
    const { hostId } = state();
    await berth('down');
    const file = join(home, 'berth', 'agent', 'credential.json');
    const kept = (): string | null =>
      existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { credential: string }).credential : null;
    const credential = kept() ?? '';
    const dead = `${credential.slice(0, -4)}dead`;
    writeFileSync(file, readFileSync(file, 'utf8').replace(credential, dead));
    expect(await berth('up', '--detach')).toMatchObject({ code: 0 });
    // The host stays ready for a while without its agent, which first has to notice that it is not known any more.
    while ([dead, null].includes(kept())) await pause(50);
    await becomesWell();
    expect(state().hostId).toBe(hostId);
  }, 120_000);

  it('is taken over with the same keys after its supervisor was killed, and ends without a trace', async () => {
    const before = state();
    process.kill(markOf('supervisor').pid, 'SIGKILL');
    expect((await berth('up', '--detach')).code).toBe(0);
    await becomesWell();
    const after = state();
    expect([after.platformKey, after.demo, after.hostId]).toEqual([before.platformKey, before.demo, before.hostId]);
    const marks = Object.values({ ...before.processes, ...after.processes });
    const { stderr } = await berth('down');
    expect(stderr).toMatch(/^Stopped: api, worker, agent, PostgreSQL/);
    expect(marks.filter((mark) => lives(mark))).toEqual([]);
    expect((await berth('down')).stderr).toMatch(/^Nothing was running/);
  }, 120_000);
});
