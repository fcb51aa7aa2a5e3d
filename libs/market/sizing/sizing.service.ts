import {
  loadModelLibrary,
  shapesStepwise,
  warmServingModel,
  accelerator as acceleratorNamed,
  type Miss,
  type ModelLibrary,
  type Shape,
  type SizingQuery,
  type Work,
} from '#hardware';
import {
  workloadSchema,
  type IntraNodeLink,
  type Offer,
  type SizingRequest,
  type SizingView,
  type TraceSummary,
} from '#contracts';
import { demandOf, fabricShare, hardwareSpeeds, usefulTime, type Demand, type Placements } from '#market/placement';
import { cheapestFor } from './costs.js';
import { reportOf } from './traces.js';
import { Turns } from './turns.js';
import { acceleratorsFor, modelOf, queryOf } from './demand.js';
import { readPrices, type PriceBook } from './price-book.js';
import { inOrder, missView, modelView, offerView, quantizationView, shapeView, type CostedShape } from './view.js';

type Hardware = Extract<SizingRequest['workload'], { kind: 'gpu-hours' | 'hardware' }>;

/** Answers what a workload needs: shapes that hold it, how fast each is, and what it costs on today's offers. */
export class Sizing {
  private known: ModelLibrary | null = null;

  constructor(
    private readonly placements: Pick<Placements, 'look' | 'measuredSpeeds'>,
    private readonly turns = new Turns(),
  ) {}

  /** Nothing is stored, and nothing is asked of anybody but the catalog. */
  async size(request: SizingRequest): Promise<SizingView> {
    const { workload } = request;
    const { pause } = this.turns;
    await pause();
    if (workload.kind === 'gpu-hours' || workload.kind === 'hardware') return this.machines(request, workload);
    const model = modelOf(workload, this.library());
    const report = await reportOf(workload, pause);
    const summary = report?.summary ?? null;
    const query = { ...queryOf(request, model, summary), measured: await this.placements.measuredSpeeds() };
    const gpus = acceleratorsFor(request.gpus);
    const book = await this.prices(request);
    const costed: CostedShape[] = [];
    const misses: Miss[] = [];
    for (const a of gpus)
      for (const precision of query.precisions) {
        const steps = shapesStepwise({ ...query, precisions: [precision] }, a);
        let step = steps.next();
        for (; step.done !== true; step = steps.next()) await pause();
        misses.push(...step.value.misses);
        for (const shape of step.value.shapes) {
          if (!shape.meetsLatency) misses.push(tooSlow(query, shape));
          else costed.push({ shape, costs: cheapestFor(query, shape, book.get(a.name) ?? [], request.offersPerShape) });
          await pause();
        }
      }
    const ordered = inOrder(costed);
    const shapes: SizingView['shapes'] = [];
    for (const one of ordered.slice(0, request.limit)) {
      await pause();
      shapes.push(shapeView(query, one));
    }
    return {
      ...nothing(workload.kind),
      model: modelView(model),
      demand: {
        contextTokens: query.contextTokens,
        inputTokens: query.inputTokens,
        outputTokens: query.outputTokens,
        concurrency: query.load.kind === 'concurrency' ? query.load.requests : null,
        trace: summary,
      },
      shapes,
      shapesFound: ordered.length,
      misses: nearestMisses(misses).map(missView),
      quantization: quantizationView(query, ordered),
      notes: notesOf(query, ordered, summary),
      findings: [...(report?.findings ?? [])],
      findingsFound: report?.found ?? 0,
      skipped: report?.skipped ?? 0,
    };
  }

  /** Reads the tables that the first question would wait for. */
  async warm(): Promise<void> {
    await this.turns.pause();
    this.library();
    await this.turns.pause();
    await warmServingModel(this.turns.pause);
  }

  private library(): ModelLibrary {
    return (this.known ??= loadModelLibrary());
  }

  private prices(request: SizingRequest): Promise<PriceBook> {
    return this.placements.look(request.scope, (index) =>
      readPrices(
        index,
        {
          scope: request.scope,
          pricing: request.pricing,
          regions: request.regions,
          countries: request.countries?.map((c) => c.toUpperCase()),
          providers: request.providers,
          maxPricePerHour: request.maxPricePerHour === undefined ? undefined : BigInt(request.maxPricePerHour),
        },
        this.turns.pause,
      ),
    );
  }

  /** GPU-hours and plain hardware: machines that have it, and what the hours on them cost. */
  private async machines(request: SizingRequest, work: Hardware): Promise<SizingView> {
    const gpus = request.gpus === undefined ? undefined : acceleratorsFor(request.gpus);
    if (work.kind === 'gpu-hours') acceleratorsFor([work.reference], () => 'workload.reference');
    const book = await this.prices(request);
    const todo: Work =
      work.kind === 'hardware'
        ? { kind: 'wall-hours', hours: work.hours }
        : { kind: 'gpu-hours', hours: work.hours, reference: work.reference };
    // Machines do it in the time in which placement believes that they do it.
    const demand = demandOf(workloadSchema.parse({ accelerator: { count: work.count }, work: todo }));
    const found: TimedOffer[] = [];
    for (const [name, offers] of book) {
      if (gpus && !gpus.some((a) => a.name === name)) continue;
      if (work.kind === 'hardware' && request.gpus === undefined && name === 'CPU') continue;
      await this.turns.pause();
      for (const offer of offers) {
        const one = timed(work, demand, offer);
        if (one !== null) found.push(one);
      }
    }
    found.sort((a, b) => a.totalNano - b.totalNano || (a.offer.id < b.offer.id ? -1 : 1));
    return {
      ...nothing(work.kind),
      machines: found.slice(0, request.limit).map(({ offer, notes, hours, totalNano }) => ({
        ...offerView(offer, 1, offer.pricePerHour, notes),
        hours: Number(hours.toFixed(4)),
        total: BigInt(totalNano).toString(),
      })),
      notes:
        found.length === 0 ? ['nothing on offer has that; relax the count, the memory, the link or the place'] : [],
    };
  }
}

interface TimedOffer {
  readonly offer: Offer;
  readonly hours: number;
  /** Whole nano-dollars. */
  readonly totalNano: number;
  readonly notes: readonly string[];
}

function timed(work: Hardware, demand: Demand, offer: Offer): TimedOffer | null {
  if (!acceleratorNamed(offer.accelerator) || offer.count < work.count) return null;
  const notes: string[] = [];
  if (work.kind === 'hardware') {
    if (work.minVramGiB !== undefined && offer.vramGiB < work.minVramGiB) return null;
    if (!isLinked(work, offer.interconnect.intraNode)) return null;
  } else {
    const { assumed } = fabricShare(hardwareSpeeds, offer, work.count, 1);
    if (assumed.length > 0) notes.push(`not known: the ${assumed.join(' and the ')}`);
  }
  const seconds = usefulTime(hardwareSpeeds, demand, offer);
  if (seconds === null) return null;
  if (offer.count > work.count) notes.push(`${offer.count - work.count} of ${offer.count} GPUs stay idle`);
  const hours = seconds / 3_600;
  return { offer, hours, totalNano: Math.round(Number(offer.pricePerHour) * hours), notes };
}

/** As placement has it: one accelerator needs no link, and AMD's own counts as NVLink does. */
function isLinked({ count, interconnect }: Extract<Hardware, { kind: 'hardware' }>, link: IntraNodeLink): boolean {
  if (count <= 1 || interconnect === 'any' || link === 'nvswitch') return true;
  return interconnect === 'nvlink' && (link === 'nvlink' || link === 'xgmi');
}

function nothing(kind: SizingView['kind']): SizingView {
  return {
    kind,
    model: null,
    demand: null,
    shapes: [],
    shapesFound: 0,
    misses: [],
    quantization: [],
    machines: [],
    notes: [],
    findings: [],
    findingsFound: 0,
    skipped: 0,
  };
}

/** A shape that fits but is too slow even for one request at a time. */
function tooSlow(q: SizingQuery, s: Shape): Miss {
  const { ttftMs, tpotMs } = q.latency;
  const said = [
    ...(ttftMs !== undefined && s.speed.ttftS * 1_000 > ttftMs
      ? [`first token after ${Math.round(s.speed.ttftS * 1_000)} ms, ${ttftMs} ms wanted`]
      : []),
    ...(tpotMs !== undefined && s.speed.tpotS * 1_000 > tpotMs
      ? [`${(s.speed.tpotS * 1_000).toFixed(1)} ms per token, ${tpotMs} ms wanted`]
      : []),
  ];
  const { accelerator, precision, split } = s;
  return {
    accelerator,
    precision,
    split,
    missingGiB: null,
    reason: `too slow even for one request: ${said.join(', ')}`,
  };
}

const MISSES = 200;

/** The least that is missing first, then what fails for other reasons. */
function nearestMisses(misses: readonly Miss[]): Miss[] {
  return [...misses].sort((a, b) => (a.missingGiB ?? Infinity) - (b.missingGiB ?? Infinity) || 0).slice(0, MISSES);
}

function notesOf(q: SizingQuery, ordered: readonly CostedShape[], trace: TraceSummary | null): string[] {
  const notes: string[] = [];
  const narrow = q.model.publishedBits;
  if (q.precisions.some((p) => p === 'bf16') && narrow < 16)
    notes.push(`the model is published in ${narrow} bits: 16-bit weights would have to be widened`);
  if (ordered.length === 0)
    notes.push('no shape holds this: see what each is missing, or try narrower weights or a shorter context');
  else if (ordered.every((s) => s.costs.length === 0)) notes.push('no offer in the catalog has any of these shapes');
  const most = q.model.maxPositionTokens;
  if (trace && most !== null && trace.totalTokensP99 > most)
    notes.push(`more than one request in a hundred is longer than the ${most} tokens that the model takes`);
  if (q.factors.promptCacheHitShare > 0 && trace?.cachedShare)
    notes.push('the share of cached prompt tokens is what the trace repeats, with a cache that forgets nothing');
  return notes;
}
