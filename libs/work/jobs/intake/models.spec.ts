import { describe, expect, it } from '@jest/globals';
import { batchUrls } from '#contracts';
import { embeddedModels, estimateSeconds } from './models.js';

describe('models', () => {
  it('have names of their own and a url of the batch form', () => {
    expect(new Set(embeddedModels.map((m) => m.id)).size).toBe(embeddedModels.length);
    for (const { url, secondsPerRequest } of embeddedModels) {
      expect(batchUrls).toContain(url);
      expect(secondsPerRequest).toBeGreaterThan(0);
    }
  });

  it('tell how long requests take, and an unknown one a second each', () => {
    expect(estimateSeconds('universal-sentence-encoder', 2_000)).toBeCloseTo(20);
    expect(estimateSeconds('brought-along', 3)).toBe(3);
  });
});
