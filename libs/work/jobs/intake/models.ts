import type { BatchUrl } from '#contracts';

/** A model that the embedded engine of every agent serves, and how long a request takes on one CPU core (measured; for estimates only). */
export interface KnownModel {
  readonly id: string;
  readonly url: BatchUrl;
  readonly secondsPerRequest: number;
}

export const embeddedModels: readonly KnownModel[] = [
  { id: 'universal-sentence-encoder', url: '/v1/embeddings', secondsPerRequest: 0.01 },
  { id: 'tiny-llama-seeded', url: '/v1/chat/completions', secondsPerRequest: 0.15 },
];

/** How long so many requests take one core; null for a model that was not measured. */
export function measuredSeconds(model: string, requests: number): number | null {
  const known = embeddedModels.find((m) => m.id === model);
  return known === undefined ? null : requests * known.secondsPerRequest;
}

/** For a model that some host brought along (a GGUF file) nothing is known: assume a second a request. */
export function estimateSeconds(model: string, requests: number): number {
  return measuredSeconds(model, requests) ?? requests;
}
