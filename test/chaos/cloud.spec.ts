import { afterEach, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Caller } from '../e2e/caller.js';
import { audit } from './audit.js';
import { Rig, SHORT_SILENCE_MS } from './rig.js';

// The vendor takes away nothing but what a test takes.
const CLOUD = ['--boot-ms', '300', '--stop-ms', '200', '--preemptions-per-hour', '0'];
const faults = (...rules: object[]): string[] => [...CLOUD, '--faults', JSON.stringify(rules)];

describe('a rented machine or its vendor misbehaves', () => {
  let rig: Rig;
  afterEach(() => rig?.stack.close());

  const machines = async (): Promise<number> => (await rig.stack.machines()).length;

  it('nothing at all happens: the control run', async () => {
    rig = await Rig.start({ sandbox: CLOUD });
    await rig.expectWhole(await rig.submit());
    await rig.expectRented(1, 'released');
    expect(rig.stack.complaints().map(({ name, msg }) => `${name}: ${msg}`)).toEqual([]);
    await expectAuditSees();
  });

  /** What the audit is for: each thing that is broken on purpose is found. */
  async function expectAuditSees(): Promise<void> {
    const { stack } = rig;
    await stack.sql('update jobs set charged_nano = charged_nano + 1');
    await stack.sql('update shards set line_to = line_to + 1 where n = 3');
    await stack.sql(
      "update ledger_accounts set balance_nano = balance_nano + 1, available_nano = available_nano + 1 where kind = 'credit'",
    );
    await stack.sql("update leases set state = 'ready', end_reason = null, ended_at = null");
    await stack.sql("delete from events where to_state = 'booting'");
    const [machine] = await stack.machines();
    if (!machine) throw new Error('there was no machine');
    const found = await audit((sql) => stack.sql(sql), [machine, { ...machine, id: 'second', state: 'running' }]);
    for (const words of [
      'a job was not charged',
      'the shards of a job',
      'an account does not',
      'the ledger does not',
      'a lease has not ended',
      'events of a row',
      'in a state that no event',
      'machine second is still running',
      'had 2 machines',
    ])
      expect(found.join('\n')).toContain(words);
  }

  it('the worker is killed between the call for a machine and its answer, at a vendor without client tokens', async () => {
    rig = await Rig.start({
      sandbox: faults({ point: 'create', kind: 'answer-lost-after-effect', occurrence: 1, how: 'hang' }),
    });
    const job = await rig.submit();
    await rig.stack.until('the machine was made', async () => (await machines()) === 1, 20_000);
    await rig.stack.workers[0]?.kill();
    await rig.stack.startWorker();
    await rig.expectWhole(job);
    await rig.expectRented(1, 'released');
  });

  it('the answer to the call is lost after the machine was made', async () => {
    rig = await Rig.start({ sandbox: faults({ point: 'create', kind: 'answer-lost-after-effect', occurrence: 1 }) });
    await rig.expectWhole(await rig.submit());
    await rig.expectRented(1, 'released');
  });

  it('the call is lost before it had an effect: asked anew, one machine', async () => {
    rig = await Rig.start({ sandbox: faults({ point: 'create', kind: 'answer-lost-before-effect', occurrence: 1 }) });
    await rig.expectWhole(await rig.submit());
    await rig.expectRented(1, 'released');
  });

  it('a call fails and leaves a machine behind: it is removed, and the job goes elsewhere', async () => {
    rig = await Rig.start({ sandbox: faults({ point: 'create', kind: 'failed-with-resource', occurrence: 1 }) });
    await rig.expectWhole(await rig.submit());
    await rig.expectRented(2, 'rejected', 'released');
  });

  it('there is no capacity, then there is', async () => {
    rig = await Rig.start({ sandbox: faults({ point: 'create', kind: 'no-capacity', occurrence: 1, times: 2 }) });
    await rig.expectWhole(await rig.submit());
    await rig.expectRented(1, 'rejected', 'rejected', 'released');
  });

  it('the machine is taken away without a word', async () => {
    rig = await Rig.start({ sandbox: CLOUD });
    const job = await rig.submit();
    await rig.middle(job);
    await rig.stack.control(`POST /control/machines/${(await rig.stack.machines())[0]?.id}/preempt`, {});
    await rig.expectWhole(job);
    await rig.expectRented(2, 'preempted', 'released');
  });

  it('the machine is taken away with notice', async () => {
    rig = await Rig.start({ sandbox: CLOUD });
    const job = await rig.submit();
    await rig.middle(job);
    await rig.stack.control(`POST /control/machines/${(await rig.stack.machines())[0]?.id}/preempt`, {
      noticeMs: 30_000,
    });
    await rig.expectWhole(job);
    await rig.expectRented(2, 'released', 'released');
  });

  it('the machine dies and the vendor does not notice', async () => {
    rig = await Rig.start({ sandbox: CLOUD, agentSilenceMs: SHORT_SILENCE_MS });
    const job = await rig.submit();
    await rig.middle(job);
    await rig.stack.control(`POST /control/machines/${(await rig.stack.machines())[0]?.id}/kill`, {});
    await rig.expectWhole(job);
    await rig.expectRented(2, 'lost', 'released');
  });

  it('the machine freezes in the middle of a shard, and thaws when all is done: what it says then is refused', async () => {
    rig = await Rig.start({ sandbox: CLOUD, agentSilenceMs: SHORT_SILENCE_MS });
    const { stack, tenant } = rig;
    // The vendor does not get it ended either, else it could not come back.
    const refusing = [{ point: 'terminate', kind: 'unavailable', occurrence: 1, times: 1_000 }];
    await stack.control('PUT /control/faults', { faults: refusing });
    const job = await rig.submit();
    await rig.middle(job);
    const [frozen] = await stack.machines();
    if (!frozen?.agentPid) throw new Error('there is no machine with an agent');
    process.kill(-frozen.agentPid, 'SIGSTOP');
    // What it had sent already is taken in within a poll.
    const since = Date.now();
    await stack.until('two polls are over', () => Date.now() - since >= 2_000, 10_000);
    const held = await stack.sql<{ id: string; fence: number; lease_id: string; agent_id: string }>(
      "select s.id, s.fence, s.lease_id, l.agent_id from shards s join leases l on l.id = s.lease_id where s.state = 'assigned' order by s.n",
    );
    const [shard] = held;
    if (!shard) throw new Error('the machine froze between two shards');

    const end = await stack.ended(tenant.caller, job.id, 90_000);
    expect([end.state, await machines()]).toEqual(['succeeded', 2]);
    const done = async () => ({
      shards: await stack.sql('select * from shards order by n'),
      tokens: await stack.sql("select * from usage_records where meter <> 'lease-time' order by id"),
      results: await tenant.caller.results(job.id),
    });
    const before = await done();
    for (const { id } of held) {
      const row = before.shards.find((s) => s['id'] === id);
      expect([row?.['state'], row?.['lease_id'] === shard.lease_id]).toEqual(['done', false]);
      expect(row?.['fence']).toBeGreaterThan(shard.fence);
    }

    // Its result as it would send it, with the credential on its disk, and then it speaks itself.
    const disk = JSON.parse(readFileSync(join(stack.dir, 'machines', frozen.id, 'credential.json'), 'utf8')) as {
      credential: string;
    };
    const late = await new Caller(stack.url, disk.credential).refusal(
      `PUT /agent/v1/results/${shard.id}/${shard.fence}`,
      { body: '{"custom_id":"line-0"}\n' },
    );
    expect([late.status, late.code]).toEqual([409, 'not-your-work']);
    const heard = async (): Promise<number> =>
      Number((await stack.sql('select last_seq from agents where id = $1', [shard.agent_id]))[0]?.['last_seq']);
    const last = await heard();
    process.kill(-frozen.agentPid, 'SIGCONT');
    // The second of its polls carries whatever it had finished.
    await stack.until('the machine speaks again', async () => (await heard()) >= last + 2, 30_000);
    expect(await done()).toEqual(before);

    await stack.control('PUT /control/faults', { faults: [] });
    await rig.expectWhole(job);
    await rig.expectEndings('lost', 'released');
  });
});
