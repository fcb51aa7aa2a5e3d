import { afterEach, describe, expect, it } from '@jest/globals';
import { Rig } from './rig.js';

const CLOUD = ['--boot-ms', '300', '--stop-ms', '200'];
const faults = (...rules: object[]): string[] => [...CLOUD, '--faults', JSON.stringify(rules)];

describe('a rented machine or its vendor misbehaves', () => {
  let rig: Rig;
  afterEach(() => rig?.stack.close());

  const machines = async (): Promise<number> => (await rig.stack.machines()).length;

  it('nothing at all happens: the control run', async () => {
    rig = await Rig.start({ sandbox: CLOUD });
    await rig.expectWhole(await rig.submit());
    expect([await machines(), await rig.endings()]).toEqual([1, ['released']]);
  });

  it('the worker is killed between the call for a machine and its answer, at a vendor without client tokens', async () => {
    rig = await Rig.start({
      sandbox: faults({ point: 'create', kind: 'answer-lost-after-effect', occurrence: 1, how: 'hang' }),
    });
    const job = await rig.submit();
    await rig.stack.until('the machine was made', async () => (await machines()) === 1, 20_000);
    await rig.stack.workers[0]?.kill();
    await rig.stack.startWorker();
    await rig.expectWhole(job);
    expect([await machines(), await rig.endings()]).toEqual([1, ['released']]);
  });

  it('the answer to the call is lost after the machine was made', async () => {
    rig = await Rig.start({ sandbox: faults({ point: 'create', kind: 'answer-lost-after-effect', occurrence: 1 }) });
    await rig.expectWhole(await rig.submit());
    expect([await machines(), await rig.endings()]).toEqual([1, ['released']]);
  });

  it('the call is lost before it had an effect: asked anew, one machine', async () => {
    rig = await Rig.start({ sandbox: faults({ point: 'create', kind: 'answer-lost-before-effect', occurrence: 1 }) });
    await rig.expectWhole(await rig.submit());
    expect(await machines()).toBe(1);
  });

  it('a call fails and leaves a machine behind: it is removed, and the job goes elsewhere', async () => {
    rig = await Rig.start({ sandbox: faults({ point: 'create', kind: 'failed-with-resource', occurrence: 1 }) });
    await rig.expectWhole(await rig.submit());
    expect([await machines(), await rig.endings()]).toEqual([2, ['rejected', 'released']]);
  });

  it('there is no capacity, then there is', async () => {
    rig = await Rig.start({ sandbox: faults({ point: 'create', kind: 'no-capacity', occurrence: 1, times: 2 }) });
    await rig.expectWhole(await rig.submit());
    expect([await machines(), await rig.endings()]).toEqual([1, ['rejected', 'rejected', 'released']]);
  });

  it('the machine is taken away without a word', async () => {
    rig = await Rig.start({ sandbox: CLOUD });
    const job = await rig.submit();
    await rig.middle(job);
    await rig.stack.control(`POST /control/machines/${(await rig.stack.machines())[0]?.id}/preempt`, {});
    await rig.expectWhole(job);
    expect([await machines(), (await rig.endings()).at(-1)]).toEqual([2, 'released']);
  });

  it('the machine is taken away with notice', async () => {
    rig = await Rig.start({ sandbox: CLOUD });
    const job = await rig.submit();
    await rig.middle(job);
    await rig.stack.control(`POST /control/machines/${(await rig.stack.machines())[0]?.id}/preempt`, {
      noticeMs: 3_000,
    });
    await rig.expectWhole(job);
    expect([await machines(), (await rig.endings()).at(-1)]).toEqual([2, 'released']);
  });

  it('the machine dies and the vendor does not notice', async () => {
    rig = await Rig.start({ sandbox: CLOUD });
    const job = await rig.submit();
    await rig.middle(job);
    await rig.stack.control(`POST /control/machines/${(await rig.stack.machines())[0]?.id}/kill`, {});
    await rig.expectWhole(job);
    expect([await machines(), await rig.endings()]).toEqual([2, ['lost', 'released']]);
  });
});
