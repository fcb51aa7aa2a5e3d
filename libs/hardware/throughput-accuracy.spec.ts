import { beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { accelerator } from './accelerators.js';
import { dataFile } from './data-files.js';
import { throughput, type ServedModel, type ServingEngine } from './throughput.js';

const model = (parametersB: number, layers: number, hiddenSize: number, kvBytesPerToken: number): ServedModel => ({
  parametersB,
  bytesPerParameter: 2,
  layers,
  hiddenSize,
  kvBytesPerToken,
});
const models = new Map<string, ServedModel>([
  ['meta-llama/Llama-2-7b-hf', model(6.74, 32, 4096, 524_288)],
  ['meta-llama/Meta-Llama-3-8B', model(8.03, 32, 4096, 131_072)],
  ['mistralai/Mistral-7B-v0.1', model(7.24, 32, 4096, 131_072)],
  ['Qwen/Qwen2-7B', model(7.6, 28, 3584, 57_344)],
  ['meta-llama/Meta-Llama-3-70B', model(70.6, 80, 8192, 327_680)],
  ['meta-llama/Llama-2-70b-hf', model(69, 80, 8192, 327_680)],
  ['mistralai/Mixtral-8x7B-v0.1', { ...model(46.7, 32, 4096, 131_072), activeParametersB: 12.9 }],
]);
const machines = new Map([
  ['Nvidia A100 GPU', 'A100-40GB-SXM'],
  ['Nvidia H100 GPU', 'H100-SXM'],
]);
const engines = new Map<string, ServingEngine>([
  ['vLLM', 'vllm'],
  ['TensorRT-LLM', 'tensorrt-llm'],
  ['Deepspeed-MII', 'deepspeed-mii'],
]);

/** |log(predicted / measured)| of every published run of an NVIDIA serving engine; nothing was fitted to these rows. */
function errors(): number[] {
  const csv = gunzipSync(readFileSync(dataFile('libs/hardware/data/llm-inference-bench.csv.gz'))).toString('utf8');
  const found: number[] = [];
  for (const line of csv.trimEnd().split(/\r?\n/).slice(1)) {
    const [hardware = '', gpus, framework = '', name = '', length, batch, , measured] = line.split(',');
    const served = models.get(name);
    const engine = engines.get(framework);
    const a = accelerator(machines.get(hardware) ?? '');
    if (!served || !engine || !a || !(Number(measured) > 0)) continue;
    const predicted = throughput({
      model: served,
      accelerator: a,
      gpus: Number(gpus),
      batch: Number(batch),
      inputTokens: Number(length),
      outputTokens: Number(length),
      engine,
      usePublished: false,
    });
    if (predicted) found.push(Math.abs(Math.log(predicted.tokensPerS / Number(measured))));
  }
  return found.sort((x, y) => x - y);
}

describe('throughput against 1,201 published runs', () => {
  let sorted: number[] = [];
  beforeAll(() => {
    sorted = errors();
  });

  it('covers them all', () => {
    expect(sorted).toHaveLength(1_201);
  });

  it('has a median error under 0.2 and a 90th percentile under 0.6', () => {
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(0.2);
    expect(sorted[Math.floor(sorted.length * 0.9)]).toBeLessThan(0.6);
  });
});
