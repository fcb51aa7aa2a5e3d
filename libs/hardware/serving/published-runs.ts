import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { dataFile } from '../data-files.js';
import { measuredCard, measuredModel } from './measured-things.js';
import type { ServingQuery } from './query.js';

/** One published run of a serving engine: what was asked of it, and what came out. */
export interface PublishedRun {
  readonly query: ServingQuery & { readonly engine: string };
  readonly modelName: string;
  /** Prompt and answer tokens together, whole replica. */
  readonly tokensPerS: number;
}

/**
 * Runs in the form of LLM-Inference-Bench: Hardware, Num of Hardware, Framework, Model, Input Output Length (each),
 * Batch Size, Latency, Throughput. Rows of models or cards we cannot describe, and those without a rate, are left out.
 */
export function parsePublishedRuns(csv: string): PublishedRun[] {
  const runs: PublishedRun[] = [];
  for (const line of csv.trimEnd().split(/\r?\n/).slice(1)) {
    const [hardware = '', gpus, engine = '', modelName = '', length, batch, , measured] = line.split(',');
    const model = measuredModel(modelName);
    const card = measuredCard(hardware);
    const tokensPerS = Number(measured);
    if (!model || !card || !(tokensPerS > 0)) continue;
    const tokens = Number(length);
    runs.push({
      query: {
        model,
        accelerator: card,
        gpus: Number(gpus),
        batch: Number(batch),
        inputTokens: tokens,
        outputTokens: tokens,
        engine,
      },
      modelName,
      tokensPerS,
    });
  }
  return runs;
}

/** The runs shipped with Berth. Reads a file: call once. */
export function loadPublishedRuns(): PublishedRun[] {
  const file = dataFile('libs/hardware/data/llm-inference-bench.csv.gz');
  return parsePublishedRuns(gunzipSync(readFileSync(file)).toString('utf8'));
}
