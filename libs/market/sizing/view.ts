import {
  bytesPerWeight,
  factorEffects,
  gib,
  growingBytesPerToken,
  qualityRisk,
  type Miss,
  type ModelProfile,
  type Shape,
  type SizingQuery,
} from '#hardware';
import type { Offer, SizedShape, SizingView } from '#contracts';
import type { ShapeCost } from './costs.js';

/** A shape with its offers, cheapest first. */
export interface CostedShape {
  readonly shape: Shape;
  readonly costs: readonly ShapeCost[];
}

const round = (x: number, digits: number): number => Number(x.toFixed(digits));
const finite = (x: number): number | null => (Number.isFinite(x) ? x : null);
const nano = (x: number): string => BigInt(Math.round(x)).toString();

/** The cheapest per token first; shapes that nobody offers last, fewest GPUs first. */
export function inOrder(shapes: readonly CostedShape[]): CostedShape[] {
  const cost = ({ costs }: CostedShape): number => costs[0]?.perMillion ?? Infinity;
  return [...shapes].sort((a, b) => {
    const byCost = cost(a) === cost(b) ? 0 : cost(a) - cost(b);
    return (
      byCost ||
      a.shape.gpus * a.shape.replicas - b.shape.gpus * b.shape.replicas ||
      (shapeText(a.shape) < shapeText(b.shape) ? -1 : 1)
    );
  });
}

export function shapeText(s: Pick<Shape, 'accelerator' | 'gpus' | 'precision' | 'split'>): string {
  const stages = s.split.pipeline > 1 ? `, ${s.split.pipeline} stages` : '';
  return `${s.gpus} x ${s.accelerator.name}, ${s.precision}${stages}`;
}

function named(s: Pick<Shape, 'accelerator' | 'precision' | 'split'>) {
  return {
    accelerator: s.accelerator.name,
    gpus: s.split.tensor * s.split.pipeline,
    tensorParallel: s.split.tensor,
    pipelineParallel: s.split.pipeline,
    precision: s.precision,
  };
}

export function shapeView(q: SizingQuery, { shape: s, costs }: CostedShape): SizedShape {
  const { budget, sequenceBytes, holds } = s.memory;
  const { speed } = s;
  const range = (value: number, digits: number, more: number, less: number) => ({
    value: round(value, digits),
    low: round(value * Math.exp(-less), digits),
    high: round(value * Math.exp(more), digits),
  });
  // Slower is longer: the interval of a time is that of the speed turned round.
  const time = (seconds: number) => range(seconds * 1_000, 2, speed.lowLog, speed.highLog);
  const stayS = speed.ttftS + speed.tpotS * q.outputTokens;
  return {
    ...named(s),
    memory: {
      totalGiB: round(gib(budget.totalBytes), 2),
      weightsGiB: round(gib(budget.weightsBytes), 2),
      overheadGiB: round(gib(budget.overheadBytes), 2),
      activationsGiB: round(gib(budget.activationBytes), 2),
      cacheGiB: round(gib(budget.kvBytes), 2),
      cachePerSequenceGiB: round(gib(sequenceBytes), 4),
    },
    holds: finite(holds),
    runs: s.batch,
    limitedBy: s.limitedBy,
    replicas: s.replicas,
    tokensPerS: range(speed.requestsPerS * (q.inputTokens + q.outputTokens), 1, speed.highLog, speed.lowLog),
    ttftMs: time(speed.ttftS),
    tpotMs: time(speed.tpotS),
    source: speed.source,
    sourceNote: speed.sourceNote,
    confidence: round(speed.confidence, 3),
    factors: factorEffects(
      {
        model: q.model,
        accelerator: s.accelerator,
        split: s.split,
        precision: s.precision,
        inputTokens: q.inputTokens,
        outputTokens: q.outputTokens,
        sequenceTokens: q.inputTokens + q.outputTokens,
        cacheBytesPerElement: q.cacheBytesPerElement,
      },
      s.batch,
      q.factors,
    ).map((f) => ({ ...f, multiplier: round(f.multiplier, 3) })),
    underWay:
      q.load.kind === 'rate'
        ? { mean: round(q.load.meanPerS * stayS, 2), peak: round(q.load.peakPerS * stayS, 2) }
        : null,
    offers: costs.map((c) => costedOffer(c)),
    notes: [...s.notes],
  };
}

function costedOffer(c: ShapeCost): SizedShape['offers'][number] {
  const { lowLog, highLog } = c.shape.speed;
  return {
    ...offerView(c.offer, c.machines, c.totalPerHour, c.notes),
    replicas: c.shape.replicas,
    perMillionTokens: {
      value: nano(c.perMillion),
      low: nano(c.perMillion * Math.exp(-highLog)),
      high: nano(c.perMillion * Math.exp(lowLog)),
    },
    perMillionInput: nano(c.perMillionInput),
    perMillionOutput: nano(c.perMillionOutput),
    hours: c.hours === null ? null : round(c.hours, 3),
    total: c.total?.toString() ?? null,
  };
}

export function offerView(o: Offer, machines: number, totalPerHour: bigint, notes: readonly string[]) {
  return {
    id: o.id,
    providerId: o.providerId,
    sku: o.sku,
    region: o.region,
    pricing: o.pricing,
    status: o.status,
    accelerator: o.accelerator,
    count: o.count,
    intraNode: o.interconnect.intraNode,
    interNode: o.interconnect.interNode,
    observedAt: new Date(o.observedAtMs).toISOString(),
    pricePerHour: o.pricePerHour.toString(),
    machines,
    totalPerHour: totalPerHour.toString(),
    notes: [...notes],
  };
}

export function missView(m: Miss): SizingView['misses'][number] {
  return { ...named(m), missingGiB: m.missingGiB === null ? null : round(m.missingGiB, 2), reason: m.reason };
}

/** Per width: what it weighs, what it saves against the published width, its cheapest shape, and what it risks. */
export function quantizationView(q: SizingQuery, ordered: readonly CostedShape[]): SizingView['quantization'] {
  const published = (q.model.parameters * q.model.publishedBits) / 8;
  // The widest width asked for decides which GPUs the widths are compared on: narrower ones fit there too.
  const widest = [...q.precisions].sort((a, b) => bytesPerWeight[b] - bytesPerWeight[a])[0];
  const reference = ordered.find((s) => s.shape.precision === widest)?.shape;
  return q.precisions.map((precision) => {
    const same = ordered.find(
      ({ shape }) =>
        reference !== undefined &&
        shape.precision === precision &&
        shape.accelerator === reference.accelerator &&
        shape.split.tensor === reference.split.tensor &&
        shape.split.pipeline === reference.split.pipeline,
    );
    const bytes = q.model.parameters * bytesPerWeight[precision];
    const best = ordered.find((s) => s.shape.precision === precision && s.costs.length > 0);
    const any = best ?? ordered.find((s) => s.shape.precision === precision);
    return {
      precision,
      weightsGiB: round(gib(bytes), 2),
      savedGiB: round(gib(published - bytes), 2),
      shape: any ? shapeText(any.shape) : null,
      holds: any ? finite(any.shape.memory.holds) : null,
      perMillionTokens: best?.costs[0] ? nano(best.costs[0].perMillion) : null,
      compared: same
        ? {
            shape: `${same.shape.gpus} x ${same.shape.accelerator.name}`,
            holds: finite(same.shape.memory.holds),
            perMillionTokens: same.costs[0] ? nano(same.costs[0].perMillion) : null,
          }
        : null,
      risk: qualityRisk[precision],
    };
  });
}

export function modelView(m: ModelProfile): SizingView['model'] {
  return {
    name: m.name,
    parameters: m.parameters,
    activeParameters: Math.round(m.activeParameters),
    parametersFrom: m.parametersFrom,
    attention: m.attention,
    experts: m.experts,
    cacheBytesPerToken: growingBytesPerToken(m.cache),
    publishedBits: m.publishedBits,
    notes: [...m.notes],
  };
}
