/** How a serving framework spends time beyond what the card needs. */
export interface EngineMechanics {
  readonly engine: string;
  /** Requests run together; else each request has the card alone, and more cards add memory but no speed. */
  readonly batches: boolean;
  /** Seconds of framework work per decode step. */
  readonly stepS: number;
  /** The same per layer of the model, where kernels are launched one by one. */
  readonly layerS: number;
  /** Share of peak FLOPS reached in prefill. */
  readonly mfu: number;
  /** Share of peak bandwidth reached while decoding. */
  readonly mbu: number;
}

const batching = { batches: true, layerS: 0, mfu: 0.5, mbu: 0.7 };

/** Textbook shares and step times read off published runs once; not fitted per row. */
const known: readonly EngineMechanics[] = [
  { engine: 'tensorrt-llm', ...batching, stepS: 0.001 },
  { engine: 'vllm', ...batching, stepS: 0.003 },
  { engine: 'deepspeed-mii', ...batching, stepS: 0.004 },
  { engine: 'llama.cpp', batches: false, stepS: 0, layerS: 150e-6, mfu: 0.3, mbu: 0.5 },
];

/** Other names under which the same software goes. */
const aliases: Readonly<Record<string, string>> = {
  trtllm: 'tensorrt-llm',
  tensorrt: 'tensorrt-llm',
  mii: 'deepspeed-mii',
  deepspeed: 'deepspeed-mii',
  llamacpp: 'llama.cpp',
  ollama: 'llama.cpp',
};

/** A framework nobody measured: continuous batching at the usual shares, the middle of the step times. */
const generic: EngineMechanics = { engine: 'other', ...batching, stepS: 0.003 };
/** The same for one that is known to serve request by request. */
export const SINGLE_STREAM = 'single-stream';
const genericSingle: EngineMechanics = { ...generic, engine: SINGLE_STREAM, batches: false };

const compact = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');
const byKey = new Map([...known, genericSingle].map((m) => [compact(m.engine), m]));

/** The mechanics of a framework by any spelling of its name; an unknown one gets those of a usual batching engine. */
export function engineMechanics(name: string): EngineMechanics {
  const key = compact(name);
  return byKey.get(key) ?? byKey.get(compact(aliases[key] ?? '')) ?? { ...generic, engine: key };
}
