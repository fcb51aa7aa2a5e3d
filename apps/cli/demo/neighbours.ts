import { z } from 'zod';
import type { Text } from './texts.js';

const lineSchema = z.object({
  custom_id: z.string(),
  response: z.object({ body: z.object({ data: z.array(z.object({ embedding: z.array(z.number()) })).min(1) }) }),
});

export interface Neighbour {
  readonly title: string;
  readonly similarity: number;
}

/** The vectors of a result file, by custom_id; throws on a line without one. */
export function vectorsOf(ndjson: string): Map<string, number[]> {
  const vectors = new Map<string, number[]>();
  for (const line of ndjson.split('\n')) {
    if (line === '') continue;
    const { custom_id, response } = lineSchema.parse(JSON.parse(line));
    if (vectors.has(custom_id)) throw new Error(`${custom_id} has two results`);
    vectors.set(custom_id, response.body.data[0]?.embedding ?? []);
  }
  return vectors;
}

function cosine(a: readonly number[], b: readonly number[]): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return dot / Math.sqrt(aa * bb);
}

/** The texts most alike to one, best first, by the angle between their vectors. */
export function neighboursOf(
  id: string,
  vectors: ReadonlyMap<string, number[]>,
  texts: readonly Text[],
  count: number,
): Neighbour[] {
  const own = vectors.get(id) ?? [];
  return texts
    .filter((t) => t.id !== id && vectors.has(t.id))
    .map((t) => ({ title: t.title, similarity: cosine(own, vectors.get(t.id) ?? []) }))
    .sort((a, b) => b.similarity - a.similarity)
    .slice(0, count);
}
