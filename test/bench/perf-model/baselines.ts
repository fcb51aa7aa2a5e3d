import { mechanics, engineMechanics, type EngineMechanics, type PublishedRun } from '#hardware';

const ideal: EngineMechanics = { engine: 'ideal', batches: true, stepS: 0, layerS: 0, mfu: 1, mbu: 1 };

/** Models that learn nothing from runs, to measure ours against; null = says that it does not fit. */
export const baselines: Readonly<Record<string, (run: PublishedRun) => number | null>> = {
  'pure roofline': (run) => mechanics(run.query, ideal)?.tokensPerS ?? null,
  'textbook (MFU 0.5, MBU 0.7, 1 ms a step)': (run) =>
    mechanics(run.query, { ...ideal, mfu: 0.5, mbu: 0.7, stepS: 0.001 })?.tokensPerS ?? null,
  'framework mechanics, no factor': (run) =>
    mechanics(run.query, engineMechanics(run.query.engine))?.tokensPerS ?? null,
};
