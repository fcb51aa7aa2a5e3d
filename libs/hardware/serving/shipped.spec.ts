import { describe, expect, it } from '@jest/globals';
import { accelerator } from '../accelerators.js';
import {
  fitServingModel,
  loadPublishedRuns,
  predictServing,
  residualsOf,
  shippedServingModel,
  shippedWidths,
  warmServingModel,
  type ServingQuery,
} from './index.js';

describe('the shipped serving model', () => {
  it('is warmed in slices, once, to what the first prediction would have made', async () => {
    let pauses = 0;
    const pause = (): Promise<void> => {
      pauses++;
      return Promise.resolve();
    };
    const runs = loadPublishedRuns();
    // Two at once are as one.
    await Promise.all([warmServingModel(pause), warmServingModel(pause)]);
    expect(pauses).toBeGreaterThanOrEqual(2 * (runs.length / 250));
    const warmed = shippedServingModel();
    const before = pauses;
    await warmServingModel(pause);
    expect([pauses, shippedServingModel()]).toEqual([before, warmed]);
    const card = accelerator('H100-SXM');
    if (!card) throw new Error('no H100');
    const query: ServingQuery = {
      model: { parametersB: 8, bytesPerParameter: 2 },
      accelerator: card,
      gpus: 1,
      batch: 64,
      inputTokens: 512,
      outputTokens: 512,
    };
    const apart = fitServingModel(residualsOf(runs), shippedWidths());
    expect(predictServing(query)).toEqual(predictServing(query, apart));
  });
});
