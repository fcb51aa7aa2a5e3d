/** Why an engine does not answer one input; the rest of the shard goes on. */
export interface Refusal {
  readonly refused: { readonly code: string; readonly message: string };
}

export interface Embedding {
  readonly vector: Float32Array;
  /** Pieces the model's own tokenizer made of the text. */
  readonly tokens: number;
}

export interface ChatQuestion {
  readonly model: string;
  readonly messages: readonly {
    readonly role: 'system' | 'developer' | 'user' | 'assistant';
    readonly content: string;
  }[];
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  readonly stop: readonly string[];
}

export interface ChatAnswer {
  readonly text: string;
  readonly finishReason: 'stop' | 'length';
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** What serves models on this machine. One engine may serve several models; a model has one kind of task. */
export interface Engine {
  readonly name: string;
  models(): readonly ServedModel[];
  /** One outcome per text, in order. Rejects with `EngineFailure` when the engine itself is broken. */
  embed(model: string, texts: readonly string[], signal: AbortSignal): Promise<(Embedding | Refusal)[]>;
  chat(question: ChatQuestion, signal: AbortSignal): Promise<ChatAnswer | Refusal>;
  close(): Promise<void>;
}

export interface ServedModel {
  readonly id: string;
  readonly task: 'embeddings' | 'chat';
  /** Length of an embedding; 0 for chat. */
  readonly dimensions: number;
}

/** The engine, not the input, is at fault. `unavailable`: it does not start here; `crashed`: it died over this input. */
export class EngineFailure extends Error {
  constructor(
    readonly reason: 'unavailable' | 'crashed',
    message: string,
  ) {
    super(message);
    this.name = 'EngineFailure';
  }
}
