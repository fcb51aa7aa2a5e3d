import { sizingRequestSchema, type SizingRequest } from '#contracts';
import type { MeasuredMachines } from '#hardware';
import { Sizing } from '#market/sizing';
import type { OfferIndex } from '#market/placement';
import { loopKept } from './loop.js';

/** A body may have about a megabyte: this is as long a trace as fits. */
const TRACE_CHARACTERS = 890_000;
const model = 'meta-llama/Llama-3.1-8B';

/** The biggest questions: every accelerator and width, a latency target to search for, most offers, a long trace as text. */
function bigQuestions(): SizingRequest[] {
  const widest = { latency: { ttftMs: 5_000, tpotMs: 30 }, limit: 200, offersPerShape: 10, machinesPerReplica: 4 };
  const pricing = ['on-demand', 'spot', 'reserved-1y', 'reserved-3y'];
  return [
    { workload: { kind: 'model', model, concurrency: 1_000_000 }, ...widest, pricing },
    { workload: { kind: 'trace', model, text: traceText() }, ...widest },
    { workload: { kind: 'gpu-hours', hours: 10, reference: 'H100-SXM' }, pricing, limit: 200 },
  ].map((question) => sizingRequestSchema.parse(question));
}

function traceText(): string {
  const lines = ['arrival_s,input_tokens,output_tokens'];
  for (let i = 0, length = 0; length < TRACE_CHARACTERS; i++) {
    const line = `${(i * 0.37).toFixed(2)},${500 + (i % 900)},${100 + (i % 70)}`;
    length += line.length + 1;
    lines.push(line);
  }
  return lines.slice(0, -1).join('\n');
}

/** How long sizing keeps the event loop from others, over these offers and with speeds of our own for every machine. */
export async function sizingUnderLoad(index: OfferIndex): Promise<{ blocks: number[]; ms: number; asked: number }> {
  const measured: MeasuredMachines = () => ({ tokensPerS: 3_000, samples: 5, logSd: 0.1 });
  const sizing = new Sizing({ look: (_scope, read) => read(index), measuredSpeeds: () => Promise.resolve(measured) });
  const questions = bigQuestions();
  // The first prediction of a process reads tables; the API does so before it serves.
  await sizing.size(sizingRequestSchema.parse({ workload: { kind: 'model', model: 'gpt2' }, limit: 1 }));
  const twice = [...questions, ...questions];
  const kept = await loopKept(() => Promise.all(twice.map((question) => sizing.size(question))));
  return { ...kept, asked: twice.length };
}
