import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { WorkItem, WorkReport } from '#contracts';
import { Stand, type Running } from '../testing/stand.js';

describe('a command on an agent', () => {
  let stand: Stand;
  let agent: Running;
  beforeEach(async () => {
    stand = await Stand.start();
    agent = await stand.agent([], {
      slots: 2,
      env: { PATH: process.env['PATH'] ?? '', HOME: '/home/spec', SECRET_KEY: 'do not tell' },
    });
  });
  afterEach(async () => {
    await agent.stop();
    await stand.close();
  });

  async function outcome(item: WorkItem): Promise<WorkReport | undefined> {
    stand.broker.assign(item);
    await stand.broker.until(() => stand.broker.finalsOf(item.workId).length > 0);
    return stand.broker.finalsOf(item.workId)[0];
  }

  it('reports exit code 0 as done, and another as failed with the code', async () => {
    expect(await outcome(stand.command('ok', 'exit 0'))).toMatchObject({
      state: 'done',
      exitCode: 0,
      resultSha256: null,
    });
    expect(await outcome(stand.command('bad', 'exit 7'))).toMatchObject({
      state: 'failed',
      code: 'command-failed',
      exitCode: 7,
    });
    expect(await outcome(stand.command('sig', 'kill -9 $$'))).toMatchObject({
      state: 'failed',
      exitCode: null,
      message: expect.stringContaining('SIGKILL'),
    });
  });

  it('shows a command the GPUs of its lease only, whatever the command asks for', async () => {
    const show = 'echo "$CUDA_DEVICE_ORDER $CUDA_VISIBLE_DEVICES/$HIP_VISIBLE_DEVICES" > seen';
    const env = { CUDA_VISIBLE_DEVICES: '0,1,2,3', HIP_VISIBLE_DEVICES: '7' };
    const run = async (workId: string, gpus?: WorkItem['gpus']): Promise<string> => {
      await outcome({ ...stand.command(workId, show, { env, outputs: ['seen'] }), ...(gpus ? { gpus } : {}) });
      return stand.broker.outputs.get(`${workId}/seen`)?.trim() ?? '';
    };
    expect(await run('nvidia', { vendor: 'nvidia', indices: [2, 3] })).toBe('PCI_BUS_ID 2,3/7');
    expect(await run('amd', { vendor: 'amd', indices: [5] })).toBe('0,1,2,3/5');
    expect(await run('part', { vendor: 'nvidia', indices: [2], mig: 'MIG-5a' })).toBe('MIG-5a/7');
    // A whole rented machine: its tenant may choose among what is all its own.
    expect(await run('whole')).toBe('0,1,2,3/7');
  });

  it('says when a program does not exist', async () => {
    const item = stand.command('none', '', { command: ['/no/such/program'] });
    expect(await outcome(item)).toMatchObject({ state: 'failed', code: 'command-not-started' });
  });

  it('brings inputs in and outputs back, and removes the folder', async () => {
    stand.broker.inputs.set('/agent/v1/artifacts/art_1', 'three\nlines\nhere\n');
    const item = stand.command('io', 'mkdir -p out && wc -l < data/in.txt > out/count.txt', {
      inputs: [{ path: 'data/in.txt', from: 'art_1' }],
      outputs: ['out/count.txt'],
    });
    expect(await outcome(item)).toMatchObject({ state: 'done' });
    expect(stand.broker.outputs.get('io/out/count.txt')?.trim()).toBe('3');
    await stand.broker.until(() => stand.broker.syncs.at(-1)?.knownWork.length === 0);
    expect(await readdir(join(stand.stateDir, 'work'))).toEqual([]);
  });

  it('refuses paths that lead out of the folder, by name and by link', async () => {
    await writeFile(join(stand.stateDir, 'outside.txt'), 'secret');
    const outside = join(stand.stateDir, 'outside.txt');
    for (const path of ['../../outside.txt', outside, 'a/../../b', './x', 'a\\..\\b', 'a\0b']) {
      const item = stand.command(`in-${Buffer.from(path).toString('hex')}`, 'true', {
        inputs: [{ path, from: 'art_1' }],
      });
      expect(await outcome(item)).toMatchObject({ state: 'failed', code: 'path-refused' });
    }
    const links: [string, string][] = [
      ['out', `ln -s ${outside} out`],
      ['dir/outside.txt', `ln -s ${stand.stateDir} dir`],
      ['hard', `ln ${outside} hard`],
      ['pipe', 'mkfifo pipe'],
      ['folder', 'mkdir folder'],
    ];
    for (const [path, script] of links) {
      expect(await outcome(stand.command(`out-${path.replace('/', '-')}`, script, { outputs: [path] }))).toMatchObject({
        state: 'failed',
        code: 'path-refused',
      });
    }
    expect([...stand.broker.outputs.keys()]).toEqual([]);
    expect(await outcome(stand.command('gone', 'true', { outputs: ['never.txt'] }))).toMatchObject({
      code: 'output-missing',
    });
  });

  it('gives the command a clean environment and its own variables', async () => {
    await outcome(stand.command('env', 'env | cut -d= -f1 | sort', { env: { GREETING: 'hello' } }));
    const names = stand.broker.logText('env').map((line) => line.replace('stdout: ', ''));
    expect(names.filter((name) => !['BERTH_CHECKPOINT_FILE', 'PWD', 'OLDPWD', '_', 'SHLVL'].includes(name))).toEqual([
      'GREETING',
      'HOME',
      'PATH',
    ]);
  });

  it('tells a command that its machine stops soon by a file, once, and says that it has heard', async () => {
    const script = 'while [ ! -e "$BERTH_CHECKPOINT_FILE" ]; do sleep 0.02; done; cat "$BERTH_CHECKPOINT_FILE"';
    const item = stand.command('save', script);
    const ended = outcome(item);
    await stand.broker.until(() => stand.broker.syncs.at(-1)?.knownWork.some((w) => w.workId === 'save') ?? false);
    const checkpointBy = '2026-11-21T10:00:00.000Z';
    stand.broker.assign({ ...item, checkpointBy });
    expect(await ended).toMatchObject({ state: 'done' });
    expect(stand.broker.logText('save')).toEqual([`stdout: ${checkpointBy}`]);
  });

  it('streams the output in order, long lines cut into pieces', async () => {
    await outcome(
      stand.command(
        'log',
        'for i in 1 2 3; do echo line $i; done; head -c 9000 /dev/zero | tr "\\0" x; echo; printf end',
      ),
    );
    expect(stand.broker.logText('log')).toEqual([
      'stdout: line 1',
      'stdout: line 2',
      'stdout: line 3',
      `stdout: ${'x'.repeat(8_192)}`,
      `stdout: ${'x'.repeat(808)}`,
      'stdout: end',
    ]);
  });

  it('kills the whole process group at the timeout, also one that ignores SIGTERM', async () => {
    // Where the machine stands still, the time may be over before the command has begun to speak.
    for (let timeoutS = 0.3; ; timeoutS *= 2) {
      const id = `slow-${timeoutS}`;
      const script = `trap '' TERM; echo $$; (trap '' TERM; sleep 600) & wait; sleep 600`;
      expect(await outcome(stand.command(id, script, { timeoutS }))).toMatchObject({
        state: 'failed',
        code: 'timeout',
      });
      const [line] = stand.broker.logText(id);
      if (line === undefined) continue;
      await gone(Number(line.replace('stdout: ', '')));
      return;
    }
  });

  it('cancels a command that is no longer desired', async () => {
    stand.broker.assign(stand.command('cut', 'echo $$; sleep 600'));
    await stand.broker.until(() => stand.broker.logText('cut').length > 0);
    const leader = Number(stand.broker.logText('cut')[0]?.replace('stdout: ', ''));
    expect(await groupMembers(leader)).not.toEqual([]);
    stand.broker.withdraw('cut');
    await stand.broker.until(() => stand.broker.syncs.at(-1)?.knownWork.length === 0);
    await gone(leader);
    expect(stand.broker.finals).toEqual([]);
  });

  it('ends what a killed agent left running before the command runs again', async () => {
    stand.broker.assign(stand.command('left', 'echo $$; sleep 600'));
    await stand.broker.until(() => stand.broker.logText('left').length > 0);
    agent.cutOff();
    const leader = Number(stand.broker.logText('left')[0]?.replace('stdout: ', ''));
    agent = await stand.agent([]);
    await stand.broker.until(() => stand.broker.logText('left').length > 1);
    await gone(leader);
  });
});

/** Waits until nobody of a group that was killed is left: the system ends a process when it gets round to it. */
async function gone(leader: number): Promise<void> {
  expect(leader).toBeGreaterThan(1);
  while ((await groupMembers(leader)).length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Living processes (zombies do not count) of a group, from /proc. */
async function groupMembers(group: number): Promise<string[]> {
  const members: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const [state, , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(pgrp) === group && state !== 'Z') members.push(pid);
  }
  return members;
}
