import { describe, expect, it } from '@jest/globals';
import { Command } from 'commander';
import { sizingRequestSchema, sizingView, type SizingView } from '#contracts';
import { assumedModel, registerSize, requestOf, type SizeFlags } from './size.js';
import { sizingText } from './size-text.js';

/** What the options of a line are read as; the action itself would ask a broker. */
function flags(...line: string[]): { model: string | undefined; flags: SizeFlags } {
  const root = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  registerSize(root);
  const size = root.commands[0];
  if (!size) throw new Error('there is no size');
  size.exitOverride().configureOutput({ writeErr: () => undefined, outputError: () => undefined });
  size.action(() => undefined);
  root.parse(['size', ...line], { from: 'user' });
  return { model: size.args[0], flags: size.opts<SizeFlags>() };
}

function request(...line: string[]) {
  const read = flags(...line);
  return sizingRequestSchema.parse(requestOf(read.model, read.flags));
}

describe('berth size, the request', () => {
  it('of a model', () => {
    const r = request(
      ...'meta-llama/Llama-3.1-70B --context 8192 --concurrency 64 --precision bf16,fp8 --ttft 500ms --tpot 0.05s'.split(
        ' ',
      ),
      ...'--gpu H100,A100 --cached 0.4 --accept 0.7 --pricing spot --top 3'.split(' '),
    );
    expect(r).toMatchObject({
      workload: { kind: 'model', model: 'meta-llama/Llama-3.1-70B', contextTokens: 8_192, concurrency: 64 },
      precisions: ['bf16', 'fp8'],
      latency: { ttftMs: 500, tpotMs: 50 },
      gpus: ['H100', 'A100'],
      factors: { continuousBatching: true, promptCacheHitShare: 0.4, speculation: { acceptRate: 0.7, draftTokens: 4 } },
      pricing: ['spot'],
      limit: 3,
    });
  });

  it('of a batch of tokens, in the proportion of its requests', () => {
    expect(request('m', '--tokens', '8e9', '--within', '24').workload).toMatchObject({
      volume: { inputTokens: 7e9, outputTokens: 1e9, withinHours: 24 },
    });
    expect(request('m', '--tokens', '1000', '--input', '300', '--output', '100').workload).toMatchObject({
      volume: { inputTokens: 750, outputTokens: 250 },
    });
  });

  it('assumes a model for a trace alone', () => {
    expect(assumedModel(flags('--trace', 'f.csv').flags)).toBe('meta-llama/Llama-3.1-8B');
    for (const line of [['--trace', 'f.csv', '--config', 'c.json'], ['--hours', '1'], []])
      expect(assumedModel(flags(...line).flags)).toBeUndefined();
  });

  it('of hours without a model', () => {
    expect(request('--gpu-hours', '200', '--reference', 'A100', '--count', '8').workload).toEqual({
      kind: 'gpu-hours',
      hours: 200,
      reference: 'A100',
      count: 8,
    });
    expect(request('--hours', '5', '--min-vram', '80', '--interconnect', 'nvlink').workload).toMatchObject({
      kind: 'hardware',
      minVramGiB: 80,
      interconnect: 'nvlink',
    });
  });

  it.each([
    [[], 'name a model'],
    [['m', '--hours', '1'], 'without a model'],
    [['--hours', '1', '--gpu-hours', '2'], 'not both'],
    [['m', '--within', '3'], '--within goes with --tokens'],
    // What would be left out without a word.
    [['m', '--count', '8'], 'they go with --hours'],
    [['m', '--min-vram', '80'], 'they go with --hours'],
    [['--gpu-hours', '2', '--interconnect', 'nvlink'], 'go with --hours'],
    [['m', '--ttft', 'soon'], 'It is a time'],
    [['m', '--cached', '2'], 'It is a share'],
    [['m', '--gpu', ','], 'separated by commas'],
  ])('refuses %j', (line, message) => {
    expect(() => request(...line)).toThrow(message);
  });
});

const range = (value: number) => ({ value, low: value / 2, high: value * 2 });
const nano = (value: string) => ({ value, low: value, high: value });
const view: SizingView = sizingView.parse({
  kind: 'model',
  model: {
    name: 'acme/model-70B',
    parameters: 70e9,
    activeParameters: 70e9,
    parametersFrom: 'config',
    attention: 'GQA',
    experts: null,
    cacheBytesPerToken: 327_680,
    publishedBits: 16,
    notes: [],
  },
  demand: { contextTokens: 8_192, inputTokens: 7_168, outputTokens: 1_024, concurrency: 64, trace: null },
  shapes: [
    {
      accelerator: 'H100-SXM',
      gpus: 4,
      tensorParallel: 4,
      pipelineParallel: 1,
      precision: 'bf16',
      memory: {
        totalGiB: 320,
        weightsGiB: 131,
        overheadGiB: 11,
        activationsGiB: 6,
        cacheGiB: 172,
        cachePerSequenceGiB: 2.5,
      },
      holds: 68,
      runs: 64,
      limitedBy: 'load',
      replicas: 1,
      tokensPerS: range(5_000),
      ttftMs: range(700),
      tpotMs: range(45),
      source: 'roofline',
      sourceNote: 'roofline x 1.00',
      confidence: 0.8,
      factors: [{ name: 'continuous-batching', on: true, multiplier: 3.1, note: 'requests join' }],
      underWay: null,
      offers: [
        {
          id: 'o',
          providerId: 'acme',
          sku: 'h100x4\u001b[31m',
          region: 'eu',
          pricing: 'spot',
          status: 'listed',
          accelerator: 'H100-SXM',
          count: 4,
          intraNode: 'nvswitch',
          interNode: 'unknown',
          observedAt: '2026-11-20T10:00:00.000Z',
          pricePerHour: '8000000000',
          machines: 1,
          totalPerHour: '8000000000',
          notes: [],
          replicas: 1,
          perMillionTokens: nano('440000000'),
          perMillionInput: '100000000',
          perMillionOutput: '2000000000',
          hours: null,
          total: null,
        },
      ],
      notes: [],
    },
  ],
  shapesFound: 7,
  misses: [
    {
      accelerator: 'L4',
      gpus: 8,
      tensorParallel: 8,
      pipelineParallel: 1,
      precision: 'bf16',
      missingGiB: 12.5,
      reason: '12.5 GiB more needed on 8 x L4 for the weights and one sequence',
    },
  ],
  quantization: [
    {
      precision: 'bf16',
      weightsGiB: 131,
      savedGiB: 0,
      shape: '4 x H100-SXM, bf16',
      holds: 68,
      perMillionTokens: '440000000',
      compared: { shape: '4 x H100-SXM', holds: 68, perMillionTokens: '440000000' },
      risk: 'as trained: no loss',
    },
  ],
  machines: [],
  notes: [],
  findings: [],
  findingsFound: 0,
  skipped: 0,
});
const output = { json: false, csv: false, quiet: false, table: true };

describe('berth size, the answer', () => {
  it('is a table with the first shape in full, no wider than 100 columns and without control characters', () => {
    const text = sizingText(view, output);
    expect(text).toContain('acme/model-70B: 70.0B parameters, GQA');
    expect(text).toContain('4 x H100-SXM  4x1    bf16');
    expect(text).toContain('memory   320 GiB = 131 weights + 11.0 overhead + 6.00 activations + 172 cache');
    expect(text).toContain('$0.44/Mtok ($0.44 to $0.44; in $0.10, out $2.00)');
    expect(text).toContain('... and 6 more (--top)');
    expect(text).toMatch(/8 x L4 bf16 +12\.5 GiB more needed/);
    expect(Math.max(...text.split('\n').map((l) => l.length))).toBeLessThanOrEqual(110);
    expect(text).not.toContain('\u001b');
  });

  it('is one line per shape for programs, and the answer itself as JSON', () => {
    const lines = sizingText(view, { ...output, table: false })
      .trimEnd()
      .split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[1]?.split('\t').slice(0, 3)).toEqual(['4 x H100-SXM', '4x1', 'bf16']);
    expect(JSON.parse(sizingText(view, { ...output, json: true }))).toMatchObject({ shapesFound: 7 });
  });
});
