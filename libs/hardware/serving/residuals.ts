import { engineMechanics } from './engines.js';
import { mechanics, shapeOf, type Mechanics } from './mechanics.js';
import type { PublishedRun } from './published-runs.js';
import type { ServingQuery } from './query.js';
import { softwareStack, type SoftwareStack } from './stacks.js';

/** Where a query lies among the published runs. */
export interface Place {
  readonly engine: string;
  readonly stack: SoftwareStack;
  /** Engine and stack together: what a correction is learned for. */
  readonly cell: string;
  readonly card: string;
  /** Two models with the same key are served alike: size, width of weights and cache. */
  readonly model: string;
  /** Powers of two: requests, tokens of a request, cards, parameters, cache per token. */
  readonly at: readonly [number, number, number, number, number];
}

/** One published run beside what the formula says: `log` = ln(measured / formula). */
export interface Residual extends Place {
  readonly log: number;
}

const DEFAULT_ENGINE = 'vllm';

export function modelKey(m: ServingQuery['model']): string {
  const { kvBytesPerToken } = shapeOf(m);
  // Published sizes of one model differ by a few per cent: 3 % steps of the parameters, 10 % of the cache.
  const step = (x: number, width: number): number => Math.round(Math.log(x) / width);
  return `${step(m.parametersB, 0.03)}/${m.bytesPerParameter}/${step(kvBytesPerToken, 0.1)}`;
}

export function placeOf(q: ServingQuery): Place {
  const { engine } = engineMechanics(q.engine ?? DEFAULT_ENGINE);
  const stack = softwareStack(q.accelerator);
  return {
    engine,
    stack,
    cell: `${engine}|${stack}`,
    card: q.accelerator.name,
    model: modelKey(q.model),
    at: [
      Math.log2(Math.max(1, q.batch)),
      Math.log2(Math.max(1, (q.inputTokens + q.outputTokens) / 2)),
      Math.log2(Math.max(1, q.gpus)),
      Math.log2(q.model.parametersB),
      Math.log2(Math.max(1, shapeOf(q.model).kvBytesPerToken)),
    ],
  };
}

/** The formula for that query with the mechanics of its engine. */
export function formula(q: ServingQuery): Mechanics | null {
  return mechanics(q, engineMechanics(q.engine ?? DEFAULT_ENGINE));
}

/** What the formula leaves unexplained of each run; runs it calls impossible have nothing to teach. */
export function residualsOf(runs: readonly PublishedRun[]): Residual[] {
  return runs.flatMap((run) => {
    const said = formula(run.query);
    return said ? [{ ...placeOf(run.query), log: Math.log(run.tokensPerS / said.tokensPerS) }] : [];
  });
}
