import { afterEach, describe, expect, it } from '@jest/globals';
import { startEmbedded, statusEmbedded } from '#platform/embedded';
import { join } from 'node:path';
import { Rig, SHORT_SILENCE_MS } from './rig.js';

describe('processes die in the middle of a job', () => {
  let rig: Rig;
  afterEach(() => rig?.stack.close());

  it('the worker, by kill -9, and another one goes on', async () => {
    rig = await Rig.start();
    await rig.stack.addHost();
    const job = await rig.submit();
    await rig.middle(job);
    await rig.stack.workers[0]?.kill();
    await rig.stack.startWorker();
    await rig.expectWhole(job);
    await rig.expectEndings('released');
  });

  it('the api, by kill -9: agents wait for it and go on', async () => {
    rig = await Rig.start();
    await rig.stack.addHost();
    const job = await rig.submit();
    await rig.middle(job);
    await rig.stack.api.kill();
    await rig.stack.startApi();
    await rig.expectWhole(job);
    await rig.expectEndings('released');
  });

  it('the agent, by kill -9: started again it goes on, and no line is lost or done twice', async () => {
    rig = await Rig.start();
    const { agent, stateDir } = await rig.stack.addHost();
    const job = await rig.submit();
    await rig.middle(job);
    await agent.kill();
    rig.stack.startAgent(stateDir);
    await rig.expectWhole(job);
  });

  it('the agent for good: another host takes over what is left', async () => {
    rig = await Rig.start({ agentSilenceMs: SHORT_SILENCE_MS });
    const first = await rig.stack.addHost('first');
    const job = await rig.submit();
    await rig.middle(job);
    await first.agent.kill();
    await rig.stack.addHost('second');
    await rig.expectWhole(job);
    await rig.expectEndings('lost', 'released');
  });

  it('PostgreSQL, by kill -9 of its postmaster: api, worker and agent go on once it is back, without a restart', async () => {
    rig = await Rig.start({ ownServer: true });
    await rig.stack.addHost();
    const job = await rig.submit();
    await rig.middle(job);
    const home = join(rig.stack.dir, 'home');
    const server = statusEmbedded({ home });
    if (server.state !== 'running') throw new Error('PostgreSQL does not run');
    process.kill(server.pid, 'SIGKILL');
    await rig.stack.until('it is noticed', () => rig.stack.complaints().length > 0, 20_000);
    await startEmbedded({ home });
    await rig.expectWhole(job);
    await rig.expectEndings('released');
    for (const child of [rig.stack.api, ...rig.stack.workers, ...rig.stack.agents])
      expect([child.name, child.alive]).toEqual([child.name, true]);
  });

  it('two workers at once, one of them frozen for 20 s: nothing happens twice', async () => {
    rig = await Rig.start({ workers: 2 });
    await rig.stack.addHost('host', 2);
    const first = await rig.submit();
    await rig.middle(first);
    const frozen = rig.stack.workers[0];
    const since = Date.now();
    frozen?.signal('SIGSTOP');
    const second = await rig.submit();
    await rig.stack.ended(rig.tenant.caller, first.id, 90_000);
    await rig.stack.until('20 s are over', () => Date.now() - since >= 20_000, 30_000);
    frozen?.signal('SIGCONT');
    await rig.expectWhole(first);
    await rig.expectWhole(second);
    await rig.expectEndings('released', 'released');
  });

  it('all of it sleeps for longer than an agent may be silent, as a laptop does: the worker does not blame the agent', async () => {
    rig = await Rig.start({ agentSilenceMs: SHORT_SILENCE_MS });
    await rig.stack.addHost();
    const job = await rig.submit();
    await rig.middle(job);
    const { api, workers, agents } = rig.stack;
    const all = [api, ...workers, ...agents];
    const since = Date.now();
    for (const child of all) child.signal('SIGSTOP');
    await rig.stack.until('longer than that', () => Date.now() - since > SHORT_SILENCE_MS + 3_000, 60_000);
    const version = async (): Promise<number> =>
      (await rig.stack.sql<{ version: number }>('select version from leases'))[0]?.version ?? 0;
    const before = await version();
    // The worker looks at the lease before the agent can say a word.
    for (const worker of workers) worker.signal('SIGCONT');
    await rig.stack.until('the worker has looked at the lease', async () => (await version()) > before, 20_000);
    for (const child of all) child.signal('SIGCONT');
    await rig.expectWhole(job);
    await rig.expectEndings('released');
  });
});
