import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '#kernel';
import type { SandboxOptions } from './options.js';
import { startSandbox, type RunningSandbox } from './start.js';

/**
 * Stands for an agent: starts a child of its own, then reports its arguments, environment and both process ids to the
 * broker address, and lives until it is killed.
 */
const fakeAgent = `
  const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  const args = process.argv.slice(1);
  const body = JSON.stringify({ args, env: Object.keys(process.env), home: process.env.HOME, pids: [process.pid, child.pid] });
  fetch(args[args.indexOf('--broker') + 1], { method: 'POST', body });
  setInterval(() => {}, 1000);`;

interface Report {
  readonly args: string[];
  readonly env: string[];
  readonly home: string;
  readonly pids: [number, number];
}

describe('an agent process', () => {
  let sandbox: RunningSandbox | undefined;
  const root = mkdtempSync(join(tmpdir(), 'sandbox-spec-'));
  const broker = createServer();
  afterEach(async () => {
    await sandbox?.close();
    broker.closeAllConnections();
    broker.close();
    rmSync(root, { recursive: true, force: true });
  });

  it('runs with token and disk in an environment of its own, and dies with everything it started', async () => {
    broker.listen(0, '127.0.0.1');
    await once(broker, 'listening');
    const brokerUrl = `http://127.0.0.1:${(broker.address() as AddressInfo).port}/`;
    const report = new Promise<Report>((resolve) => {
      broker.on('request', (request, response) => {
        let text = '';
        request.on('data', (chunk: Buffer) => (text += chunk.toString()));
        request.on('end', () => {
          response.end();
          resolve(JSON.parse(text) as Report);
        });
      });
    });

    const clock = new ManualClock();
    const options: SandboxOptions = {
      agents: 'process',
      agentCommand: ['node', '-e', fakeAgent, '--'],
      stateDir: root,
      bootMs: 0,
    };
    sandbox = await startSandbox(options, { clock });
    const answer = sandbox.cloud.create({
      sku: 'cpu-8',
      region: 'us-east-1',
      name: 'a',
      clientToken: null,
      tags: {},
      bootstrap: { brokerUrl, enrolToken: 'tok' },
    });
    const id = answer.kind === 'done' ? answer.value.id : '';
    sandbox.room.settle();
    const disk = join(root, id);
    const { args, env, home, pids } = await report;
    expect(args).toEqual(['--broker', brokerUrl, '--token', 'tok', '--state-dir', disk]);
    expect(home).toBe(disk);
    expect(env.filter((name) => !['PATH', 'LANG', 'HOME'].includes(name))).toEqual([]);
    expect(pids.map(isAlive)).toEqual([true, true]);
    expect(existsSync(disk)).toBe(true);

    await sandbox.close();
    await goneFor(pids);
    expect(existsSync(disk)).toBe(false);
  });
});

/** False for a zombie as well: it runs no more. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A grandchild is reaped by the system and not by us: wait for it, as long as the test may take. */
async function goneFor(pids: readonly number[]): Promise<void> {
  while (pids.some(isAlive)) await new Promise((resolve) => setTimeout(resolve, 10));
}
