import { predictServing } from '../serving/predict.js';
import type { MeasuredSpeed, ServingQuery } from '../serving/query.js';
import { shrunkSpeed, usualLoad, type MeasuredMachines } from '../useful-time.js';

/*
 * How far a speed that was seen under one load reaches, as standard deviations of its logarithm for each power of two: from
 * all pairs of published runs (LLM-Inference-Bench) of one model on one machine, vLLM and TensorRT-LLM on NVIDIA, after the formula.
 */
const PER_BATCH = 0.08;
const PER_LENGTH = 0.05;
/** Cards of a replica where the machine held several: as far as requests are. */
const PER_SPLIT = 0.08;
/** How many requests Berth's own engines ran at once is not written down: two powers of two on either side. */
const LOAD_UNKNOWN = 2;
/** Half widths of 80 % intervals in standard deviations. */
const Z = 1.2816;
const MOST_GPUS = 16;

/**
 * What Berth's leases say of a replica: by how much the machines with that accelerator were faster or slower than predicted for
 * that model and width, applied to what is predicted here. The same number of GPUs goes before machines with more of them.
 * `cacheBytesPerToken`: of the model at a sequence length, on `gpus`.
 */
export function measuredReplica(
  machines: MeasuredMachines,
  query: ServingQuery,
  cacheBytesPerToken: (tokens: number, gpus: number) => number,
): MeasuredSpeed | undefined {
  const { accelerator, model, gpus } = query;
  for (let units = gpus; units <= MOST_GPUS; units *= 2) {
    const { parametersB, bytesPerParameter } = model;
    const own = machines({ accelerator: accelerator.name, units, parametersB, bytesPerParameter });
    if (own === undefined) continue;
    const usual = usualReplica(query, units, cacheBytesPerToken);
    const here = predictServing(query);
    if (usual === null || here === null) return undefined;
    const predicted = usual.tokensPerS * Math.floor(units / usual.gpus);
    const { tokensPerS, weight } = shrunkSpeed(own, predicted);
    const away = Math.hypot(
      PER_BATCH * Math.hypot(Math.log2(query.batch / usualLoad.batch), LOAD_UNKNOWN),
      PER_LENGTH * Math.log2((query.inputTokens + query.outputTokens) / usualLoad.tokens),
      PER_SPLIT * Math.log2(gpus / usual.gpus),
    );
    return {
      ...own,
      tokensPerS: here.tokensPerS * (tokensPerS / predicted),
      awaySd: Math.hypot(weight * away, ((1 - weight) * here.lowLog) / Z),
    };
  }
  return undefined;
}

/** The smallest replica on `units` GPUs under the load that speeds of machines are learned for. */
function usualReplica(
  query: ServingQuery,
  units: number,
  cacheBytesPerToken: (tokens: number, gpus: number) => number,
): { readonly tokensPerS: number; readonly gpus: number } | null {
  const { batch, tokens } = usualLoad;
  for (let gpus = 1; gpus <= units; gpus *= 2) {
    const model = { ...query.model, kvBytesPerToken: cacheBytesPerToken(tokens, gpus) };
    const inputTokens = tokens / 2;
    const said = predictServing({ ...query, model, gpus, batch, inputTokens, outputTokens: tokens - inputTokens });
    if (said) return { tokensPerS: said.tokensPerS, gpus };
  }
  return null;
}
