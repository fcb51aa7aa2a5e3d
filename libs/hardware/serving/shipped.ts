import { readFileSync } from 'node:fs';
import { dataFile } from '../data-files.js';
import { loadPublishedRuns } from './published-runs.js';
import { residualsOf, type Residual } from './residuals.js';
import { fitServingModel, type ServingModel } from './serving-model.js';
import type { Widths } from './widths.js';

/** Written by `npm run bench:perf-model -- --write-widths`; a spec checks that the shipped runs still give the same. */
export const WIDTHS_FILE = 'libs/hardware/data/serving-widths.json';

let shipped: ServingModel | undefined;

/** The model learned from the runs shipped with Berth; read once per process. */
export function shippedServingModel(): ServingModel {
  return (shipped ??= fitServingModel(residualsOf(loadPublishedRuns()), shippedWidths()));
}

/** Residuals computed between two pauses: ten milliseconds when the code is cold. */
const SLICE = 250;

/** Does what the first prediction of a process would do, about a seventh of a second, in slices. */
export async function warmServingModel(pause: () => Promise<void>): Promise<void> {
  if (shipped) return;
  const runs = loadPublishedRuns();
  const residuals: Residual[] = [];
  for (let i = 0; i < runs.length; i += SLICE) {
    await pause();
    residuals.push(...residualsOf(runs.slice(i, i + SLICE)));
  }
  await pause();
  shipped ??= fitServingModel(residuals, shippedWidths());
}

export function shippedWidths(): Widths {
  return JSON.parse(readFileSync(dataFile(WIDTHS_FILE), 'utf8')) as Widths;
}
