/** A measured rate of one replica; tokens of prompt and answer together, which are about equally many in both sources. */
export interface PublishedThroughput {
  readonly model: string;
  readonly parametersB: number;
  readonly bytesPerParameter: number;
  readonly accelerator: string;
  readonly gpus: number;
  readonly tokensPerS: number;
  readonly source: string;
}

const argonne =
  'argonne-lcf/LLM-Inference-Bench@4211f5d4 (BSD-3-Clause), vLLM, 1,024 tokens in and out, batch 64, single measurement';
const mlperf =
  'mlcommons/inference_results_v4.1@198fc467 (Apache-2.0), llama2-70b-99.9 offline, median per accelerator, prompt tokens counted as answer tokens; re-extracted, not an official MLPerf claim';

/** [model, parametersB, bytesPerParameter, accelerator, gpus, tokensPerS, source] */
const rows: readonly (readonly [string, number, number, string, number, number, string])[] = [
  ['Llama-2-7B', 6.74, 2, 'A100-40GB-SXM', 1, 1485, argonne],
  ['Llama-2-7B', 6.74, 2, 'A100-40GB-SXM', 2, 3253, argonne],
  ['Llama-2-7B', 6.74, 2, 'A100-40GB-SXM', 4, 5365, argonne],
  ['Llama-2-7B', 6.74, 2, 'H100-SXM', 1, 4016, argonne],
  ['Llama-2-7B', 6.74, 2, 'H100-SXM', 2, 6065, argonne],
  ['Llama-2-7B', 6.74, 2, 'H100-SXM', 4, 8260, argonne],
  ['Llama-2-7B', 6.74, 2, 'MI300X', 1, 2894, argonne],
  ['Llama-3-8B', 8.03, 2, 'A100-40GB-SXM', 1, 3625, argonne],
  ['Llama-3-8B', 8.03, 2, 'A100-40GB-SXM', 2, 5072, argonne],
  ['Llama-3-8B', 8.03, 2, 'H100-SXM', 1, 6969, argonne],
  ['Llama-3-8B', 8.03, 2, 'H100-SXM', 2, 8341, argonne],
  ['Llama-3-8B', 8.03, 2, 'H100-SXM', 4, 9602, argonne],
  ['Llama-3-8B', 8.03, 2, 'MI300X', 1, 2136, argonne],
  ['Llama-3-70B', 70.6, 2, 'H100-SXM', 4, 3736, argonne],
  ['Llama-3-70B', 70.6, 2, 'MI300X', 4, 917, argonne],
  ['Llama-3-70B', 70.6, 2, 'MI300X', 8, 1944, argonne],
  ['Llama-2-70B', 69, 1, 'H100-PCIe', 8, 18563, mlperf],
  ['Llama-2-70B', 69, 1, 'H100-SXM', 8, 48397, mlperf],
  ['Llama-2-70B', 69, 1, 'H200', 8, 62605, mlperf],
];

export const publishedThroughputs: readonly PublishedThroughput[] = rows.map(
  ([model, parametersB, bytesPerParameter, acc, gpus, tokensPerS, source]) => ({
    model,
    parametersB,
    bytesPerParameter,
    accelerator: acc,
    gpus,
    tokensPerS,
    source,
  }),
);

/** The measurement of this model size (within 3 %), width, accelerator and GPU count; undefined when nobody published one. */
export function publishedThroughput(
  parametersB: number,
  bytesPerParameter: number,
  acceleratorName: string,
  gpus: number,
): PublishedThroughput | undefined {
  return publishedThroughputs.find(
    (p) =>
      p.accelerator === acceleratorName &&
      p.gpus === gpus &&
      p.bytesPerParameter === bytesPerParameter &&
      Math.abs(p.parametersB - parametersB) / p.parametersB <= 0.03,
  );
}
