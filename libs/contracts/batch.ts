import { z } from 'zod';

/** Lines of the OpenAI batch form, in and out. Unknown fields inside `body` are refused by the engine, not here. */
export const batchUrls = ['/v1/embeddings', '/v1/chat/completions'] as const;
export type BatchUrl = (typeof batchUrls)[number];

export const embeddingBody = z.strictObject({
  model: z.string().min(1),
  input: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(256)]),
  encoding_format: z.enum(['float', 'base64']).optional(),
  dimensions: z.int().positive().optional(),
  user: z.string().optional(),
});

export const chatMessage = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.string(),
  name: z.string().optional(),
});

/** Tokens a chat may produce when its line does not say: small, since nobody asked for more. */
export const DEFAULT_MAX_TOKENS = 32;

export const chatBody = z.strictObject({
  model: z.string().min(1),
  messages: z.array(chatMessage).min(1).max(200),
  max_tokens: z.int().positive().max(32_768).optional(),
  max_completion_tokens: z.int().positive().max(32_768).optional(),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().gt(0).max(1).optional(),
  seed: z.int().optional(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).optional(),
  user: z.string().optional(),
});

export const batchLine = z.discriminatedUnion('url', [
  z.strictObject({
    custom_id: z.string().min(1).max(512),
    method: z.literal('POST'),
    url: z.literal('/v1/embeddings'),
    body: embeddingBody,
  }),
  z.strictObject({
    custom_id: z.string().min(1).max(512),
    method: z.literal('POST'),
    url: z.literal('/v1/chat/completions'),
    body: chatBody,
  }),
]);
export type BatchLine = z.infer<typeof batchLine>;

/** One output line; exactly one of `response` and `error` is set, as in OpenAI's batch output. */
export const batchResultLine = z.object({
  id: z.string(),
  custom_id: z.string(),
  response: z.object({ status_code: z.int(), request_id: z.string(), body: z.unknown() }).nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});
export type BatchResultLine = z.infer<typeof batchResultLine>;
