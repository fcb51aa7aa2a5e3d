import { accelerator } from '../accelerators.js';
import type { ServedModel, ServingCard } from './query.js';

const dense = (parametersB: number, layers: number, hiddenSize: number, kvBytesPerToken: number): ServedModel => ({
  parametersB,
  bytesPerParameter: 2,
  layers,
  hiddenSize,
  kvBytesPerToken,
});

/** The models of the published runs, in 16 bits as they were served. Decilm's kv heads differ by layer: 67 in all. */
const models: Readonly<Record<string, ServedModel>> = {
  'meta-llama/Llama-2-7b-hf': dense(6.74, 32, 4096, 524_288),
  'meta-llama/Meta-Llama-3-8B': dense(8.03, 32, 4096, 131_072),
  'mistralai/Mistral-7B-v0.1': dense(7.24, 32, 4096, 131_072),
  'Qwen/Qwen2-7B': dense(7.6, 28, 3584, 57_344),
  'Qwen/Qwen2-72B': dense(72.7, 80, 8192, 327_680),
  'Deci/DeciLM-7B': dense(7.04, 32, 4096, 34_304),
  'meta-llama/Meta-Llama-3-70B': dense(70.6, 80, 8192, 327_680),
  'meta-llama/Llama-2-70b-hf': dense(69, 80, 8192, 327_680),
  'mistralai/Mixtral-8x7B-v0.1': { ...dense(46.7, 32, 4096, 131_072), activeParametersB: 12.9 },
  'BAAI/Aquila-7B': dense(7.3, 32, 4096, 524_288),
  'EleutherAI/gpt-j-6b': dense(6.05, 28, 4096, 458_752),
  'Qwen/Qwen1.5-7B': dense(7.72, 32, 4096, 524_288),
  'bigscience/bloom-7b1': dense(7.07, 30, 4096, 491_520),
  'facebook/opt-6.7b': dense(6.66, 32, 4096, 524_288),
  'huggyllama/llama-7b': dense(6.74, 32, 4096, 524_288),
};

/** Measured but not for rent anywhere Berth looks, so not in the table of accelerators. Figures: SambaNova, Hot Chips 2024. */
const sn40l: ServingCard = {
  name: 'SN40L',
  family: 'SN40L',
  form: null,
  vendor: 'sambanova',
  vramGiB: 64,
  memoryGBps: 2000,
  fp16Tflops: 638,
  fp8Tflops: null,
  linkGBps: 128,
  link: 'unknown',
  watts: 500,
  generation: 8,
};

/** What those who measured called their cards. Their A100 is the 40 GB board; "PVC" is the Max 1550 by its code name. */
const cards: Readonly<Record<string, string>> = {
  'Nvidia A100 GPU': 'A100-40GB-SXM',
  'Nvidia H100 GPU': 'H100-SXM',
  'Nvidia GH200 GPU': 'GH200',
  'Nvidia GH200': 'GH200',
  'AMD MI300X GPU': 'MI300X',
  'AMD MI250 GPU': 'MI250',
  'Intel PVC GPU': 'Max-1550',
  'Intel Max 1550': 'Max-1550',
  'Habana Gaudi2': 'Gaudi2',
  'Intel Gaudi2': 'Gaudi2',
};

export function measuredModel(name: string): ServedModel | undefined {
  return models[name];
}

export function measuredCard(name: string): ServingCard | undefined {
  if (/SN40L/.test(name)) return sn40l;
  return accelerator(cards[name] ?? '');
}
