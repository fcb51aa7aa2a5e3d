import { DEFAULT_MAX_TOKENS, type BatchLine } from '#contracts';

export interface MostTokens {
  readonly input: number;
  readonly output: number;
}

/** What templates put around a message or an input. */
const AROUND = 16;

/**
 * The most tokens that a request is charged for. No tokenizer makes more tokens of a text than it has bytes (where one unfolds
 * a character into many, the tenant gains); of the answer, what the line allows.
 */
export function mostTokens(line: BatchLine): MostTokens {
  const bytes = (text: string): number => Buffer.byteLength(text) + AROUND;
  if (line.url === '/v1/embeddings') {
    const { input } = line.body;
    return { input: (typeof input === 'string' ? [input] : input).reduce((n, text) => n + bytes(text), 0), output: 0 };
  }
  const { messages, max_completion_tokens, max_tokens } = line.body;
  const input = messages.reduce((n, m) => n + bytes(m.content) + Buffer.byteLength(m.name ?? ''), AROUND);
  return { input, output: max_completion_tokens ?? max_tokens ?? DEFAULT_MAX_TOKENS };
}
