import { describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { endProcess, lives, markOf, type Mark } from './mark.js';

/** A process of its own group that has said that it listens for signals. */
async function stubborn(): Promise<{ child: ChildProcess; mark: Mark }> {
  const script = "process.on('SIGTERM', () => undefined); setInterval(() => undefined, 1_000); console.log('on')";
  const child = spawn(process.execPath, ['-e', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  if (child.stdout) await once(child.stdout, 'data');
  const mark = markOf(child.pid);
  if (!mark) throw new Error('it did not start');
  return { child, mark };
}

describe('a marked process', () => {
  it('is told from another process with its number', () => {
    const own = markOf(process.pid);
    expect(own).not.toBeNull();
    expect(lives(own ?? undefined)).toBe(true);
    expect(lives({ pid: process.pid, birth: 'another' })).toBe(false);
  });

  it('does not live without a number, or when it has ended', async () => {
    expect(markOf(undefined)).toBeNull();
    expect(markOf(0)).toBeNull();
    const child = spawn(process.execPath, ['-e', '0']);
    const { pid } = child;
    await once(child, 'exit');
    expect(markOf(pid)).toBeNull();
  });

  it('is ended also when it does not listen, and is gone when that is said', async () => {
    const { child, mark } = await stubborn();
    const exited = once(child, 'exit');
    await endProcess(mark, 0);
    expect(lives(mark)).toBe(false);
    expect((await exited)[1]).toBe('SIGKILL');
  });
});
