import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { SizingView } from '#contracts';
import { CliOnSnapshot, commandsOf, root } from './doc-page.js';

const home = mkdtempSync(join(tmpdir(), 'berth-sizing-'));
let cli: CliOnSnapshot;

beforeAll(async () => {
  cli = await CliOnSnapshot.start();
});
afterAll(async () => {
  await cli.close();
  rmSync(home, { recursive: true, force: true });
});

const berth = (...args: string[]): Promise<string> => cli.berth(...args);

async function json(...args: string[]): Promise<SizingView> {
  return JSON.parse(await berth(...args, '--json')) as SizingView;
}

function sample(name: string): string {
  return join(root, 'docs/samples', name);
}

describe('docs/sizing.md', () => {
  const lines = commandsOf('docs/sizing.md');

  it('shows commands', () => expect(lines.length).toBeGreaterThan(8));

  it.each(lines)('$line', async ({ line, exits }) => {
    const args = line.split(' ').slice(1);
    if (exits === 2) await expect(berth(...args)).rejects.toThrow(/line 5: has no time/);
    else expect((await berth(...args)).trim().split('\n').length).toBeGreaterThan(1);
  });
});

describe('berth size --trace', () => {
  it('takes replicas for the peak, gzipped or not, and pays for the mean', async () => {
    const gz = join(home, 'requests.csv.gz');
    writeFileSync(gz, gzipSync(readFileSync(sample('requests.csv'))));
    const plain = await json('size', 'meta-llama/Llama-3.1-8B', '--trace', sample('requests.csv'), '--gpu', 'L4');
    const packed = await json('size', 'meta-llama/Llama-3.1-8B', '--trace', gz, '--gpu', 'L4');
    expect(packed).toEqual(plain);
    // A trace names no model.
    const unnamed = await json('size', '--trace', sample('requests.csv'), '--gpu', 'L4');
    expect(unnamed.shapes).toEqual(plain.shapes);
    const trace = plain.demand?.trace;
    expect(trace).toMatchObject({ requests: 647, cachedShare: null });
    expect(trace?.peakPerS).toBeGreaterThan(1.3 * (trace?.meanPerS ?? Infinity));
    for (const s of plain.shapes) {
      const capacity =
        (s.tokensPerS.value * s.replicas) / ((plain.demand?.inputTokens ?? 0) + (plain.demand?.outputTokens ?? 0));
      expect(capacity * 0.7).toBeGreaterThanOrEqual((trace?.peakPerS ?? Infinity) * 0.999);
      expect(s.underWay?.peak).toBeGreaterThan(s.underWay?.mean ?? Infinity);
    }
  });

  it('names odd lines, and prints them', async () => {
    const view = await json('size', 'meta-llama/Llama-3.1-8B', '--trace', sample('requests-odd.csv'));
    expect(view.findings.map((f) => [f.line, f.kind])).toEqual([
      [5, 'nonsense'],
      [8, 'disorder'],
      [10, 'nonsense'],
      [14, 'gap'],
    ]);
    expect([view.findingsFound, view.skipped]).toEqual([4, 2]);
  });

  it('takes ServeGen rates with their lengths, and Mooncake blocks as the share of a prompt cache', async () => {
    const rates = join(home, 'rates.csv');
    const lengths = join(home, 'lengths.csv');
    const mooncake = join(home, 'mooncake.jsonl');
    writeFileSync(rates, 'client,timestamp,rate,cv,pattern,arg1,arg2\n1,0,3,1,Gamma,1,1\n1,600,1,1,Gamma,1,1\n');
    writeFileSync(
      lengths,
      'client,timestamp,field,mean,p5,p25,p50,p75,p95,p99\n1,0,input_tokens,9,9,9,9,9,9,9\n1,0,output_tokens,5,5,5,5,5,5,5\n',
    );
    writeFileSync(
      mooncake,
      [0, 1]
        .map((t) => JSON.stringify({ timestamp: t, input_length: 1_024, output_length: 9, hash_ids: [1, 2] }))
        .join('\n'),
    );
    const view = await json('size', 'gpt2', '--trace', rates, '--lengths', lengths, '--gpu', 'T4');
    expect(view.demand).toMatchObject({ inputTokens: 9, outputTokens: 5, trace: { meanPerS: 2, peakPerS: 3 } });
    const cached = await json('size', 'meta-llama/Llama-3.1-8B', '--trace', mooncake, '--gpu', 'L4');
    expect(cached.demand?.trace?.cachedShare).toBe(0.5);
    expect(cached.shapes[0]?.factors.find((f) => f.name === 'prompt-caching')).toMatchObject({ on: true });
  });

  it.each([
    [['gpt2', '--trace', '/nowhere.csv'], 'there is no such file'],
    [['gpt2', '--trace', root], 'is a folder'],
    [['gpt2', '--trace', join(root, 'package.json')], 'left out'],
    [['gpt2', '--trace', join(root, 'README.md')], 'no trace that is known'],
    [['gpt2', '--trace', sample('requests.csv'), '--concurrency', '4'], 'leave out --concurrency'],
    [['gpt2', '--strict'], '--strict go with --trace'],
  ])('refuses %j', async (args, message) => {
    await expect(berth('size', ...args)).rejects.toThrow(message);
  });

  it('refuses a gzip file that is cut short', async () => {
    const cut = join(home, 'cut.csv.gz');
    writeFileSync(cut, gzipSync(readFileSync(sample('requests.csv'))).subarray(0, 900));
    await expect(berth('size', 'gpt2', '--trace', cut)).rejects.toThrow('cannot be unpacked');
  });
});

describe('POST /v1/sizing with a trace as text', () => {
  const text = readFileSync(sample('requests-odd.csv'), 'utf8');
  const ask = (workload: object) =>
    cli.api.call('POST /v1/sizing', {
      key: process.env['BERTH_CLI_KEY'] ?? '',
      body: { workload: { kind: 'trace', model: 'meta-llama/Llama-3.1-8B', ...workload }, limit: 1 },
    });

  it('answers with the findings', async () => {
    const { status, body } = await ask({ text });
    expect([status, body['findingsFound'], body['skipped']]).toEqual([200, 4, 2]);
  });

  it('stops with strict, and names the line', async () => {
    const { status, body } = await ask({ text, strict: true });
    expect([status, body['field'], body['facts']]).toEqual([400, 'workload.text', { line: 5 }]);
  });

  it('takes one of summary and text', async () => {
    expect((await ask({})).body['field']).toBe('workload.summary');
  });
});
