import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { SizingRequestInput, SizingView, TraceSummary } from '#contracts';
import { withBroker } from '../command.js';
import { Ended, EXIT, UsageError, tell } from '../exit.js';
import { aboveZero, defined, listOf, money, oneOf, wholeNumber } from '../flags.js';
import { readInput } from '../input.js';
import { print } from '../output.js';
import { sizingText } from './size-text.js';
import { readTrace, told } from './size-trace.js';

const SCOPES = ['market', 'rentable'] as const;
const LINKS = ['any', 'nvlink', 'nvswitch'] as const;
const CACHES = ['bf16', 'fp8'] as const;

export interface SizeFlags {
  config?: string;
  trace?: string;
  lengths?: string;
  strict?: boolean;
  utilization: number;
  context?: number;
  input?: number;
  output?: number;
  concurrency?: number;
  tokens?: number;
  within?: number;
  precision?: string[];
  cache: (typeof CACHES)[number];
  ttft?: number;
  tpot?: number;
  cached?: number;
  accept?: number;
  staticBatching?: boolean;
  gpu?: string[];
  gpuHours?: number;
  reference: string;
  hours?: number;
  count?: number;
  minVram?: number;
  interconnect?: (typeof LINKS)[number];
  machines: number;
  pricing?: string[];
  region?: string[];
  provider?: string[];
  /** Nano-dollars. */
  maxPrice?: string;
  scope: (typeof SCOPES)[number];
  top: number;
  offers: number;
}

export function registerSize(berth: Command): void {
  berth
    .command('size')
    .argument('[model]', 'a name such as meta-llama/Llama-3.1-70B')
    .description('what a model, a trace of requests, or hours of work need: shapes, memory, speed and cost per token')
    .option('--config <file>', 'the model’s config.json, for one that is not known by name')
    .option('--trace <file>', 'requests as CSV or JSON lines, .gz too; - for standard input')
    .option('--lengths <file>', 'the lengths that go with a trace of rates (ServeGen)')
    .option('--strict', 'stop at the first odd line of the trace')
    .option('--utilization <share>', 'load of a replica at the peak of a trace', share, 0.7)
    .option('--context <tokens>', 'longest sequence, prompt and answer', wholeNumber(1, 10_000_000))
    .option('--input <tokens>', 'usual prompt', wholeNumber(1, 10_000_000))
    .option('--output <tokens>', 'usual answer', wholeNumber(1, 10_000_000))
    .option('--concurrency <n>', 'requests under way at once', wholeNumber(1, 1_000_000))
    .option('--tokens <n>', 'a batch of so many tokens, prompts and answers, such as 2e9', aboveZero)
    .option('--within <hours>', 'have the batch done by then', aboveZero)
    .option('--precision <widths>', 'bf16, fp8, int8, int4; separated by commas', listOf)
    .option('--cache <width>', 'bf16 or fp8', oneOf(CACHES), 'bf16')
    .option('--ttft <time>', 'longest time to the first token, such as 500ms', milliseconds)
    .option('--tpot <time>', 'longest time per further token, such as 50ms', milliseconds)
    .option('--cached <share>', 'share of prompt tokens in a cached prefix, 0 to 0.99', share)
    .option('--accept <share>', 'speculative decoding with this share of drafts accepted, 0 to 1', share)
    .option('--static-batching', 'without continuous batching')
    .option('--gpu <models>', 'only these, separated by commas', listOf)
    .option('--gpu-hours <n>', 'no model: hours of work on --count of the reference GPU', aboveZero)
    .option('--reference <gpu>', 'the reference GPU', 'H100-SXM')
    .option('--hours <n>', 'no model: hours on machines with --count GPUs', aboveZero)
    .option('--count <n>', 'GPUs per machine, for --hours and --gpu-hours', wholeNumber(1, 64))
    .option('--min-vram <GiB>', 'least memory per GPU, for --hours', wholeNumber(1, 2_000))
    .option('--interconnect <link>', 'any, nvlink or nvswitch, for --hours', oneOf(LINKS))
    .option('--machines <n>', 'machines that one replica may span', wholeNumber(1, 4), 2)
    .option('--pricing <models>', 'on-demand, spot, reserved-1y, reserved-3y; separated by commas', listOf)
    .option('--region <regions>', 'one or more, separated by commas', listOf)
    .option('--provider <names>', 'one or more, separated by commas', listOf)
    .option('--max-price <dollars>', 'per hour and machine', money)
    .option('--scope <scope>', 'market (all that is listed) or rentable', oneOf(SCOPES), 'market')
    .option('--top <n>', 'shapes to show', wholeNumber(1, 200), 10)
    .option('--offers <n>', 'offers for each shape', wholeNumber(1, 10), 3)
    .addHelpText(
      'after',
      '\nExamples:\n  berth size meta-llama/Llama-3.1-70B --context 8192 --concurrency 64\n  berth size Qwen/Qwen3-32B --gpu H100,L40S --precision fp8,int4 --ttft 1s --tpot 50ms\n  berth size --config config.json --tokens 2e9 --within 24\n  berth size meta-llama/Llama-3.1-8B --trace requests.csv.gz\n  berth size --gpu-hours 200 --reference A100-80GB-SXM --count 8',
    )
    .action(
      withBroker(async ({ client, output }, model: string | undefined, o: SizeFlags) => {
        const { answerOf, size } = await import('#client');
        const config = o.config === undefined ? undefined : await configOf(o.config);
        const trace = o.trace === undefined ? undefined : await readTrace(o.trace, o);
        if (trace && !trace.forms.includes('servegen-rates') && (o.input !== undefined || o.output !== undefined))
          throw new UsageError('this trace tells its lengths: leave out --input and --output');
        const named = model ?? assumedModel(o);
        if (model === undefined && named !== undefined && !output.quiet)
          tell(`A trace names no model: this is for ${named}. Yours: berth size MODEL --trace FILE`);
        const request = requestOf(named, o, config, trace?.summary);
        const answer = (await answerOf(size({ client, body: request as never }))) as unknown as SizingView;
        // The broker saw the summary only: what the lines were like is known here.
        const view = trace ? { ...answer, ...told(trace) } : answer;
        print(sizingText(view, output));
        if (view.shapes.length === 0 && view.machines.length === 0)
          throw new Ended(EXIT.nothingFits, `nothing fits.${view.notes.map((n) => `\n  ${n}`).join('')}`);
      }),
    );
}

/** What a trace of which nobody says the model is sized for: small enough for most cards, and the one most often served in public benchmarks. */
const TRACE_MODEL = 'meta-llama/Llama-3.1-8B';

/** The model where none is named; undefined where one must be, or none is wanted. */
export function assumedModel(o: SizeFlags): string | undefined {
  const isOfTrace =
    o.trace !== undefined && o.config === undefined && o.hours === undefined && o.gpuHours === undefined;
  return isOfTrace ? TRACE_MODEL : undefined;
}

/** The request of a command line; what cannot go together is refused. */
export function requestOf(
  model: string | undefined,
  o: SizeFlags,
  config?: Record<string, unknown>,
  summary?: TraceSummary,
): SizingRequestInput {
  return { ...commonOf(o), workload: workloadOf(model, o, config, summary) };
}

function workloadOf(
  model: string | undefined,
  o: SizeFlags,
  config: Record<string, unknown> | undefined,
  summary: TraceSummary | undefined,
): SizingRequestInput['workload'] {
  if (o.gpuHours !== undefined || o.hours !== undefined) {
    if (model !== undefined || o.config !== undefined || o.trace !== undefined)
      throw new UsageError('--hours and --gpu-hours size machines without a model');
    if (o.gpuHours !== undefined && o.hours !== undefined) throw new UsageError('--hours or --gpu-hours, not both');
    if (o.gpuHours !== undefined && (o.minVram !== undefined || o.interconnect !== undefined))
      throw new UsageError('--min-vram and --interconnect go with --hours');
    return o.gpuHours !== undefined
      ? defined({ kind: 'gpu-hours' as const, hours: o.gpuHours, reference: o.reference, count: o.count })
      : defined({
          kind: 'hardware' as const,
          hours: o.hours,
          count: o.count,
          minVramGiB: o.minVram,
          interconnect: o.interconnect,
        });
  }
  if (model === undefined && o.config === undefined)
    throw new UsageError('name a model, or give its --config (or --hours, or --gpu-hours)');
  if (o.count !== undefined || o.minVram !== undefined || o.interconnect !== undefined)
    throw new UsageError('--count, --min-vram and --interconnect size machines without a model: they go with --hours');
  const known = defined({
    model,
    config,
    contextTokens: o.context,
  });
  if (summary !== undefined) {
    if (o.concurrency !== undefined || o.tokens !== undefined)
      throw new UsageError('a trace tells how much there is: leave out --concurrency and --tokens');
    return defined({ kind: 'trace' as const, ...known, summary, utilization: o.utilization });
  }
  if (o.lengths !== undefined || o.strict === true) throw new UsageError('--lengths and --strict go with --trace');
  return defined({
    kind: 'model' as const,
    ...known,
    inputTokens: o.input,
    outputTokens: o.output,
    concurrency: o.concurrency,
    volume: volumeOf(o),
  });
}

/** Seven eighths of the tokens of a batch are prompts, as in a request, unless --input and --output tell another proportion. */
function volumeOf(o: SizeFlags): { inputTokens: number; outputTokens: number; withinHours?: number } | undefined {
  if (o.tokens === undefined) {
    if (o.within !== undefined) throw new UsageError('--within goes with --tokens');
    return undefined;
  }
  const answers = o.input !== undefined && o.output !== undefined ? o.output / (o.input + o.output) : 1 / 8;
  return {
    inputTokens: Math.round(o.tokens * (1 - answers)),
    outputTokens: Math.max(1, Math.round(o.tokens * answers)),
    ...(o.within === undefined ? {} : { withinHours: o.within }),
  };
}

function commonOf(o: SizeFlags): Omit<SizingRequestInput, 'workload'> {
  const latency = defined({ ttftMs: o.ttft, tpotMs: o.tpot });
  return defined({
    gpus: o.gpu,
    // What is not a width or a way of pricing is refused by the API, which names the field.
    precisions: o.precision as SizingRequestInput['precisions'],
    pricing: o.pricing as SizingRequestInput['pricing'],
    cachePrecision: o.cache,
    latency: Object.keys(latency).length > 0 ? latency : undefined,
    factors: defined({
      continuousBatching: o.staticBatching !== true,
      promptCacheHitShare: o.cached,
      speculation: o.accept === undefined ? undefined : { acceptRate: o.accept },
    }),
    machinesPerReplica: o.machines,
    regions: o.region,
    providers: o.provider,
    maxPricePerHour: o.maxPrice,
    scope: o.scope,
    limit: o.top,
    offersPerShape: o.offers,
  });
}

async function configOf(file: string): Promise<Record<string, unknown>> {
  const text = await readInput(file);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${file} is not JSON: ${error instanceof Error ? error.message : 'unreadable'}`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new UsageError(`${file} is no config.json: it must hold a JSON object`);
  return parsed as Record<string, unknown>;
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1)) throw new InvalidArgumentError('It is a share from 0 to 1.');
  return value;
}

/** "500ms", "1.5s" or "2m"; a bare number is milliseconds. */
function milliseconds(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text.trim());
  const value = match ? Number(match[1]) * ({ ms: 1, s: 1_000, m: 60_000 }[match[2] ?? 'ms'] ?? 1) : 0;
  if (!(value > 0)) throw new InvalidArgumentError('It is a time such as 500ms or 1.5s.');
  return value;
}
