import { quantile, softwareStack, type PublishedRun } from '#hardware';

/** Whose serving stack a run is: the groups that goals are stated for. */
export function isNvidiaServing(run: PublishedRun): boolean {
  return softwareStack(run.query.accelerator) === 'cuda' && !/llama/i.test(run.query.engine);
}

export interface Errors {
  readonly medianAbsLogRatio: number;
  readonly p90AbsLogRatio: number;
}

export const round = (x: number, digits = 3): number => Number(x.toFixed(digits));

export function errorsOf(logRatios: readonly number[]): Errors {
  const sizes = logRatios.map(Math.abs);
  return { medianAbsLogRatio: round(quantile(sizes, 0.5)), p90AbsLogRatio: round(quantile(sizes, 0.9)) };
}

export const share = <T>(items: readonly T[], holds: (item: T) => boolean): number =>
  round(items.filter(holds).length / Math.max(1, items.length));
