import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { dataFile } from '#hardware';

const textSchema = z.object({ id: z.string(), title: z.string(), text: z.string(), source: z.string() });
export type Text = z.infer<typeof textSchema>;
const promptSchema = z.object({ id: z.string(), prompt: z.string() });

const lines = (file: string): unknown[] =>
  readFileSync(dataFile(file), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

/** 2,000 public-domain texts; data/texts/README.md says from where. */
export function texts(): Text[] {
  return lines('data/texts/public-domain-2000.jsonl').map((line) => textSchema.parse(line));
}

/** The texts as a batch of embedding requests. */
export function embeddingBatch(list: readonly Text[]): string {
  return list
    .map((t) =>
      JSON.stringify({
        custom_id: t.id,
        method: 'POST',
        url: '/v1/embeddings',
        body: { model: 'universal-sentence-encoder', input: t.text },
      }),
    )
    .join('\n');
}

export function chatBatch(): string {
  return lines('data/texts/chat-prompts.jsonl')
    .map((line) => promptSchema.parse(line))
    .map(({ id, prompt }) =>
      JSON.stringify({
        custom_id: id,
        method: 'POST',
        url: '/v1/chat/completions',
        body: { model: 'tiny-llama-seeded', messages: [{ role: 'user', content: prompt }], max_tokens: 24, seed: 7 },
      }),
    )
    .join('\n');
}
