import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CountingEngine, Stand, embeddingLines } from '../testing/stand.js';

describe('an agent and its broker', () => {
  let stand: Stand;
  beforeEach(async () => {
    stand = await Stand.start();
  });
  afterEach(async () => {
    await stand.close();
  });

  it('enrols once and uses the stored credential from then on', async () => {
    const first = await stand.enrol();
    expect(stand.broker.tokens.size).toBe(0);
    expect(await stand.enrol('another token')).toEqual(first);
    expect((await stat(join(stand.stateDir, 'credential.json'))).mode & 0o777).toBe(0o600);
  });

  it('tells a wrong token from an enrolment whose answer was lost', async () => {
    await expect(stand.enrol('wrong')).rejects.toMatchObject({ code: 'token-refused' });
    stand.broker.loseAnswer = (path) => path === '/agent/v1/enroll' && stand.broker.tokens.size === 0;
    const lost = stand.enrol('tok');
    await stand.broker.until(() => stand.broker.tokens.size === 0);
    stand.broker.loseAnswer = () => false;
    await expect(lost).rejects.toMatchObject({ code: 'answer-lost' });
  });

  it('runs a shard of 20 lines to exactly one result and forgets it', async () => {
    const engine = new CountingEngine();
    const agent = await stand.agent([engine]);
    stand.broker.assign(stand.shard('shd_1', embeddingLines(20)));
    await stand.broker.until(() => stand.broker.finalsOf('shd_1').length > 0);
    const [report] = stand.broker.finalsOf('shd_1');
    const [upload, ...more] = stand.broker.results.get('shd_1/1') ?? [];
    expect(more).toEqual([]);
    expect(report).toMatchObject({
      state: 'done',
      resultSha256: upload?.sha256,
      counts: { ok: 20, failed: 0, inputTokens: 20 },
    });
    expect(stand.broker.resultLines('shd_1').map((line) => line.custom_id)).toEqual(
      embeddingLines(20).map((line) => line.custom_id),
    );
    expect(await agent.stop()).toBe('stopped');
    expect(stand.broker.syncs.at(-1)).toMatchObject({ draining: true, capacity: 0 });
    expect(await readdir(join(stand.stateDir, 'work'))).toEqual([]);
  });

  it('survives a broker that is down for a while and one that loses answers', async () => {
    const agent = await stand.agent([new CountingEngine()]);
    await stand.broker.until(() => stand.broker.syncs.length > 0);
    await stand.broker.down();
    stand.broker.assign(stand.shard('shd_1', embeddingLines(3)));
    await stand.broker.up();
    let lost = 0;
    stand.broker.loseAnswer = (path) => path.startsWith('/agent/v1/results') && lost++ === 0;
    await stand.broker.until(() => stand.broker.finalsOf('shd_1').length > 0);
    expect(stand.broker.results.get('shd_1/1')?.length).toBe(2);
    expect(new Set(stand.broker.results.get('shd_1/1')?.map((upload) => upload.sha256)).size).toBe(1);
    await agent.stop();
  });

  it('drops a result whose fence is old and runs the work under the new one', async () => {
    let computed = 0;
    const engine = new CountingEngine(() => {
      if (++computed === 2) stand.broker.replaceUnheard(stand.shard('shd_1', embeddingLines(2), 2));
      return undefined;
    });
    const agent = await stand.agent([engine]);
    stand.broker.assign(stand.shard('shd_1', embeddingLines(2), 1));
    await stand.broker.until(() => stand.broker.finalsOf('shd_1').length > 0);
    expect(stand.broker.finalsOf('shd_1')).toMatchObject([{ fence: 2, state: 'done' }]);
    expect([...stand.broker.results.keys()]).toEqual(['shd_1/2']);
    expect(computed).toBe(4);
    await agent.stop();
  });

  it('stops work when its fence rises', async () => {
    const agent = await stand.agent([]);
    stand.broker.assign(stand.command('cmd_1', 'sleep 600'));
    await stand.broker.until(() => stand.broker.syncs.some((sync) => sync.knownWork.length > 0));
    stand.broker.assign({ ...stand.command('cmd_1', 'true'), fence: 2 });
    await stand.broker.until(() => stand.broker.finals.length > 0);
    expect(stand.broker.finals).toMatchObject([{ workId: 'cmd_1', fence: 2, state: 'done' }]);
    await agent.stop();
  });

  it('goes on where a killed agent left off: no computed line is lost or repeated', async () => {
    // The first agent computes 64 lines (one entry in its result file) and hangs in the second step.
    const first = new CountingEngine((text) => (text === 'text 70' ? new Promise(() => undefined) : undefined));
    const killed = await stand.agent([first]);
    stand.broker.assign(stand.shard('shd_1', embeddingLines(80)));
    await stand.broker.until(() =>
      stand.broker.syncs.some((sync) =>
        sync.reports.some((report) => 'progress' in report && report.progress?.done === 64),
      ),
    );
    killed.cutOff();

    const second = new CountingEngine();
    const agent = await stand.agent([second]);
    await stand.broker.until(() => stand.broker.finalsOf('shd_1').length > 0);
    expect(second.seen).toEqual(Array.from({ length: 16 }, (_, i) => `text ${64 + i}`));
    const ids = stand.broker.resultLines('shd_1').map((line) => line.custom_id);
    expect(ids).toEqual(embeddingLines(80).map((line) => line.custom_id));
    expect(stand.broker.finalsOf('shd_1')).toMatchObject([{ fence: 1, state: 'done', counts: { ok: 80 } }]);
    await agent.stop();
  });

  it('reports a finished shard again after a restart instead of running it again', async () => {
    const killed = await stand.agent([new CountingEngine()]);
    stand.broker.loseAnswer = (path) => path === '/agent/v1/sync' && stand.broker.finals.length > 0;
    stand.broker.assign(stand.shard('shd_1', embeddingLines(5)));
    await stand.broker.until(() => stand.broker.finals.length > 0);
    killed.cutOff();
    stand.broker.loseAnswer = () => false;
    const before = stand.broker.finals.length;
    const second = new CountingEngine();
    const agent = await stand.agent([second]);
    await stand.broker.until(() => stand.broker.finals.length > before);
    expect(second.seen).toEqual([]);
    expect(new Set(stand.broker.finals.map((report) => JSON.stringify(report))).size).toBe(1);
    await agent.stop();
  });

  it('stops work that is no longer desired, and runs it when it is desired again', async () => {
    const agent = await stand.agent([]);
    stand.broker.assign(stand.command('cmd_1', 'sleep 600'));
    await stand.broker.until(() => stand.broker.syncs.some((sync) => sync.knownWork.length === 1));
    stand.broker.withdraw('cmd_1');
    await stand.broker.until(() => stand.broker.syncs.at(-1)?.knownWork.length === 0);
    expect(stand.broker.finals).toEqual([]);
    stand.broker.assign(stand.command('cmd_1', 'true'));
    await stand.broker.until(() => stand.broker.finals.length > 0);
    expect(stand.broker.finals).toMatchObject([{ workId: 'cmd_1', state: 'done' }]);
    await agent.stop();
  });

  it('ends when its credential dies, when another uses it, and when the broker says goodbye', async () => {
    const dead = await stand.agent([]);
    await stand.broker.until(() => stand.broker.syncs.length > 0);
    const [credential = ''] = stand.broker.credentials;
    stand.broker.credentials.clear();
    stand.broker.assign(stand.shard('shd_1', embeddingLines(1)));
    expect(await dead.end).toBe('credential-dead');
    stand.broker.credentials.add(credential);
    stand.broker.withdraw('shd_1');

    const forked = await stand.agent([]);
    const before = stand.broker.syncs.length;
    await stand.broker.until(() => stand.broker.syncs.length > before);
    // A copy of the disk elsewhere has moved on.
    await fetch(`${stand.broker.url}/agent/v1/sync`, {
      method: 'POST',
      headers: { authorization: `Bearer ${credential}` },
      body: JSON.stringify({ seq: 1_000, reports: [], capacity: 0, waitMs: 0, knownWork: [] }),
    });
    stand.broker.assign(stand.shard('shd_2', embeddingLines(1)));
    expect(await forked.end).toBe('stale-sequence');
    expect(Number(await readFile(join(stand.stateDir, 'sequence'), 'utf8'))).toBeLessThan(1_000);
  });

  it('leaves for good after a goodbye', async () => {
    const agent = await stand.agent([]);
    stand.broker.assign(stand.command('cmd_1', 'sleep 600'));
    await stand.broker.until(() => stand.broker.syncs.some((sync) => sync.knownWork.length === 1));
    stand.broker.say(() => (stand.broker.goodbye = true));
    expect(await agent.end).toBe('goodbye');
    expect(await readdir(join(stand.stateDir, 'work'))).toEqual([]);
  });
});
