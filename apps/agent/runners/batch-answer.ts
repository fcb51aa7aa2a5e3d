import { createHash } from 'node:crypto';
import { DEFAULT_MAX_TOKENS, type BatchLine, type BatchResultLine } from '#contracts';
import { hash32 } from '#kernel';
import type { ChatAnswer, ChatQuestion, Embedding, Refusal } from '../engines/engine.js';

type EmbeddingLine = Extract<BatchLine, { url: '/v1/embeddings' }>;
type ChatLine = Extract<BatchLine, { url: '/v1/chat/completions' }>;

/** Where a line stands: its ids depend on nothing else, so a line that is computed again keeps them. */
export interface LineOrigin {
  readonly workId: string;
  readonly customId: string;
}

export function errorAnswer(origin: LineOrigin, code: string, message: string): BatchResultLine {
  return { id: lineId('batch_req', origin), custom_id: origin.customId, response: null, error: { code, message } };
}

export function embeddingAnswer(
  origin: LineOrigin,
  line: EmbeddingLine,
  outcomes: readonly (Embedding | Refusal)[],
): BatchResultLine {
  const embeddings: Embedding[] = [];
  for (const outcome of outcomes) {
    if ('refused' in outcome) return errorAnswer(origin, outcome.refused.code, outcome.refused.message);
    embeddings.push(outcome);
  }
  const tokens = embeddings.reduce((sum, embedding) => sum + embedding.tokens, 0);
  return answer(origin, {
    object: 'list',
    data: embeddings.map(({ vector }, index) => ({
      object: 'embedding',
      index,
      embedding: line.body.encoding_format === 'base64' ? base64(vector) : Array.from(vector, shortest),
    })),
    model: line.body.model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  });
}

export function chatAnswer(
  origin: LineOrigin,
  line: ChatLine,
  outcome: ChatAnswer | Refusal,
  nowMs: number,
): BatchResultLine {
  if ('refused' in outcome) return errorAnswer(origin, outcome.refused.code, outcome.refused.message);
  return answer(origin, {
    id: lineId('chatcmpl', origin),
    object: 'chat.completion',
    created: Math.floor(nowMs / 1_000),
    model: line.body.model,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: outcome.text, refusal: null },
        logprobs: null,
        finish_reason: outcome.finishReason,
      },
    ],
    usage: {
      prompt_tokens: outcome.promptTokens,
      completion_tokens: outcome.completionTokens,
      total_tokens: outcome.promptTokens + outcome.completionTokens,
    },
  });
}

/** A line without a seed gets one from its ids: running it again on another machine gives the same draw. */
export function chatQuestion(origin: LineOrigin, { body }: ChatLine): ChatQuestion {
  return {
    model: body.model,
    messages: body.messages.map(({ role, content }) => ({ role, content })),
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? DEFAULT_MAX_TOKENS,
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    seed: (body.seed ?? hash32(`${origin.workId}/${origin.customId}`)) >>> 0,
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
  };
}

export interface Tally {
  readonly ok: number;
  readonly failed: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

export const EMPTY_TALLY: Tally = { ok: 0, failed: 0, inputTokens: 0, outputTokens: 0 };

/** Counts one more result line, from what the line itself says: the same after a restart. */
export function addToTally(tally: Tally, line: BatchResultLine): Tally {
  if (!line.response) return { ...tally, failed: tally.failed + 1 };
  const { usage } = line.response.body as { usage?: { prompt_tokens?: number; completion_tokens?: number } };
  return {
    ok: tally.ok + 1,
    failed: tally.failed,
    inputTokens: tally.inputTokens + (usage?.prompt_tokens ?? 0),
    outputTokens: tally.outputTokens + (usage?.completion_tokens ?? 0),
  };
}

function answer(origin: LineOrigin, body: unknown): BatchResultLine {
  return {
    id: lineId('batch_req', origin),
    custom_id: origin.customId,
    response: { status_code: 200, request_id: lineId('req', origin), body },
    error: null,
  };
}

function lineId(prefix: string, origin: LineOrigin): string {
  const digest = createHash('sha256').update(`${origin.workId}\0${origin.customId}`).digest('hex');
  return `${prefix}_${digest.slice(0, 24)}`;
}

/** Nine significant digits name every 32-bit float exactly; the double's usual 17 would double the file. */
function shortest(value: number): number {
  return Number(value.toPrecision(9));
}

/** OpenAI's form: 32-bit floats, little-endian. */
function base64(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((value, i) => bytes.writeFloatLE(value, i * 4));
  return bytes.toString('base64');
}
