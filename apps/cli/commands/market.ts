import type { Command } from 'commander';
import type { PlacementView, WorkloadInput } from '#contracts';
import { idArgument, pages, withBroker } from '../command.js';
import { Ended, EXIT, UsageError } from '../exit.js';
import { aboveZero, money, oneOf, wholeNumber } from '../flags.js';
import { readInput } from '../input.js';
import { print, rowsText, type Output } from '../output.js';
import { ago, dollars, duration, jsonText, plainLine, wrapped } from '../text.js';
import { registerOfferHistory } from './offer-history.js';
import { explanationText, replayText, spaced } from './explanation.js';

const PRICING = ['on-demand', 'spot', 'reserved-1y', 'reserved-3y'] as const;
const OBJECTIVES = ['cheapest', 'balanced', 'reliable', 'fastest'] as const;

const ORDERS = ['price', 'gpu-price'] as const;
const LINKS = ['any', 'nvlink', 'nvswitch'] as const;
const SCOPES = ['market', 'rentable'] as const;

export function registerMarket(berth: Command): void {
  const offers = berth
    .command('offers')
    .description('list what the market offers, cheapest first')
    .option('--gpu <model>', 'such as H100 (every form of it) or A100-80GB')
    .option('--count <n>', 'GPUs per machine', wholeNumber(0, 64))
    .option('--min-vram <GiB>', 'least memory per GPU', wholeNumber(1, 2_000))
    .option('--region <region>', 'the provider’s name of it')
    .option('--country <code>', 'two letters')
    .option('--provider <name>', 'such as aws')
    .option('--pricing <model>', PRICING.join(', '), oneOf(PRICING))
    .option('--max-price <dollars>', 'per hour, whole machine', money)
    .option('--rentable', 'only what Berth can rent now')
    .option('--sort <order>', 'price or gpu-price', oneOf(ORDERS), 'price')
    .option('--limit <n>', 'most rows', wholeNumber(1, 100_000), 20)
    .option('--all', 'every row')
    .addHelpText(
      'after',
      '\nExamples:\n  berth offers --gpu H100 --sort price\n  berth offers --gpu A100-80GB --count 8 --pricing spot --json',
    )
    .action(
      withBroker(async ({ client, output }, o: OfferFlags) => {
        const { answerOf, listOffers } = await import('#client');
        const query = defined({
          gpu: o.gpu,
          count: o.count,
          minVramGiB: o.minVram,
          region: o.region,
          country: o.country,
          provider: o.provider,
          pricing: o.pricing,
          maxPricePerHour: o.maxPrice,
          status: o.rentable ? ('rentable' as const) : undefined,
          sort: o.sort,
        });
        const rows = await pages(o.all ? null : o.limit, (cursor, limit) =>
          answerOf(listOffers({ client, query: { ...query, limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(
          rowsText(
            rows,
            [
              { title: 'provider', of: (r) => r.providerId },
              { title: 'sku', of: (r) => r.sku },
              { title: 'accelerator', of: (r) => r.accelerator },
              { title: 'count', of: (r) => r.count, right: true },
              { title: 'vram GiB', of: (r) => r.vramGiB, right: true },
              { title: 'link', of: (r) => r.interconnect.intraNode },
              { title: 'region', of: (r) => r.region },
              { title: 'pricing', of: (r) => r.pricing },
              { title: '$/h', of: (r) => dollars(r.pricePerHour), right: true },
              {
                title: '$/gpu-h',
                of: (r) => (r.pricePerGpuHour === null ? '' : dollars(r.pricePerGpuHour)),
                right: true,
              },
              { title: 'status', of: (r) => (r.doubts.length > 0 ? 'doubtful' : r.status) },
              { title: 'seen', of: (r) => ago(r.observedAt) },
            ],
            output,
          ),
        );
      }),
    );

  registerOfferHistory(offers);
  const placement = berth.command('placement').description('where work would go, and why');
  placement
    .command('preview')
    .description('rank offers for a workload by the expected cost of the finished work; rents nothing')
    .option('--gpu <models>', 'one or more, separated by commas')
    .option('--count <n>', 'GPUs per machine', wholeNumber(0, 64))
    .option('--min-vram <GiB>', 'least memory per GPU', wholeNumber(1, 2_000))
    .option('--interconnect <link>', 'any, nvlink or nvswitch', oneOf(LINKS))
    .option('--hours <n>', 'hours of work on whatever is rented', aboveZero)
    .option('--gpu-hours <n>', 'hours of work on the reference GPU', aboveZero)
    .option('--reference <gpu>', 'the reference GPU', 'H100-SXM')
    .option('--objective <objective>', OBJECTIVES.join(', '), oneOf(OBJECTIVES), 'balanced')
    .option('--scope <scope>', 'market (all that is listed) or rentable', oneOf(SCOPES), 'market')
    .option('--region <regions>', 'one or more, separated by commas')
    .option('--max-total <dollars>', 'most for the finished work', money)
    .option('--file <file>', 'the whole workload as JSON; - for standard input')
    .option('--max-price <dollars>', 'most per hour, all machines together', money)
    .option('--top <n>', 'candidates to show', wholeNumber(1, 100), 5)
    .option('--explain', 'why the first won, term by term, and what was kept out by one constraint only')
    .addHelpText(
      'after',
      '\nExamples:\n  berth placement preview --gpu H100,A100 --count 8 --interconnect nvswitch --gpu-hours 10\n  berth placement preview --gpu H100 --count 8 --interconnect nvlink --explain\n  berth placement preview --file workload.json --scope rentable',
    )
    .action(
      withBroker(async ({ client, output }, o: PreviewFlags) => {
        const { answerOf, previewPlacement } = await import('#client');
        const workload = o.file === undefined ? workloadOf(o) : await workloadFrom(o.file);
        const decision = (await answerOf(
          previewPlacement({ client, body: { workload: workload as never, scope: o.scope, limit: o.top } }),
        )) as unknown as PlacementView;
        print(decisionText(decision, output, o.explain));
        if (decision.fitting === 0)
          throw new Ended(
            EXIT.nothingFits,
            `none of ${decision.considered} offers fits.${[...(decision.contradictions ?? []), ...decision.hints].map((h) => `\n  ${h}`).join('')}`,
          );
      }),
    );
  placement
    .command('get')
    .argument('<id>', 'a placement', idArgument('pl'))
    .description('show a stored decision')
    .option('--explain', 'why the first won, term by term, and what was kept out by one constraint only')
    .addHelpText(
      'after',
      '\nExamples:\n  berth placement get pl_01j00000000000000000000000\n  berth placement get pl_01j00000000000000000000000 --explain',
    )
    .action(
      withBroker(async ({ client, output }, id: string, o: { explain?: boolean }) => {
        const { answerOf, getPlacement } = await import('#client');
        const decision = await answerOf(getPlacement({ client, path: { id } }));
        print(decisionText(decision as unknown as PlacementView, output, o.explain));
      }),
    );
  placement
    .command('replay')
    .argument('<id>', 'a placement', idArgument('pl'))
    .description('take a decision again with today’s catalog or another policy, and say what changed; rents nothing')
    .option('--objective <objective>', OBJECTIVES.join(', '), oneOf(OBJECTIVES))
    .option('--scope <scope>', 'market (all that is listed) or rentable', oneOf(SCOPES))
    .option('--region <regions>', 'one or more, separated by commas')
    .option('--max-price <dollars>', 'most per hour, all machines together', money)
    .option('--max-total <dollars>', 'most for the finished work', money)
    .option('--top <n>', 'candidates to show', wholeNumber(1, 100), 5)
    .addHelpText(
      'after',
      '\nExamples:\n  berth placement replay pl_01j00000000000000000000000\n  berth placement replay pl_01j00000000000000000000000 --objective fastest',
    )
    .action(
      withBroker(async ({ client, output }, id: string, o: ReplayFlags) => {
        const { answerOf, replayPlacement } = await import('#client');
        const { constraints } = workloadOf(o);
        const body = { ...defined({ objective: o.objective, scope: o.scope }), constraints, limit: o.top };
        const decision = (await answerOf(
          replayPlacement({ client, path: { id }, body: body as never }),
        )) as unknown as PlacementView;
        print(output.json ? decisionText(decision, output) : replayText(decision, output));
      }),
    );
}

interface OfferFlags {
  gpu?: string;
  count?: number;
  minVram?: number;
  region?: string;
  country?: string;
  provider?: string;
  pricing?: (typeof PRICING)[number];
  /** Nano-dollars. */
  maxPrice?: string;
  rentable?: boolean;
  sort: (typeof ORDERS)[number];
  limit: number;
  all?: boolean;
}

interface PreviewFlags {
  gpu?: string;
  count?: number;
  minVram?: number;
  interconnect?: (typeof LINKS)[number];
  hours?: number;
  gpuHours?: number;
  reference: string;
  objective: (typeof OBJECTIVES)[number];
  scope: (typeof SCOPES)[number];
  region?: string;
  /** Nano-dollars. */
  maxTotal?: string;
  /** Nano-dollars. */
  maxPrice?: string;
  file?: string;
  top: number;
  explain?: boolean;
}

type ReplayFlags = Pick<PreviewFlags, 'region' | 'maxPrice' | 'maxTotal' | 'top'> & {
  objective?: PreviewFlags['objective'];
  scope?: PreviewFlags['scope'];
};

function defined<T extends object>(value: T): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]: NonNullable<T[K]>;
  };
}

async function workloadFrom(file: string): Promise<unknown> {
  const text = await readInput(file);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new UsageError(`${file} is not JSON: ${error instanceof Error ? error.message : 'unreadable'}`);
  }
}

function workloadOf(o: Partial<PreviewFlags>): WorkloadInput {
  const wantsGpu =
    o.gpu !== undefined || o.count !== undefined || o.minVram !== undefined || o.interconnect !== undefined;
  return {
    ...(wantsGpu
      ? {
          accelerator: {
            count: o.count ?? 1,
            ...(o.gpu === undefined ? {} : { models: o.gpu.split(',').map((g) => g.trim()) }),
            ...(o.minVram === undefined ? {} : { minVramGiB: o.minVram }),
            ...(o.interconnect === undefined ? {} : { interconnect: o.interconnect }),
          },
        }
      : {}),
    ...(o.gpuHours !== undefined
      ? { work: { kind: 'gpu-hours', hours: o.gpuHours, reference: o.reference ?? 'H100-SXM' } }
      : o.hours !== undefined
        ? { work: { kind: 'wall-hours', hours: o.hours } }
        : {}),
    ...(o.objective === undefined ? {} : { objective: o.objective }),
    constraints: {
      ...(o.region === undefined ? {} : { regions: o.region.split(',').map((r) => r.trim()) }),
      ...(o.maxTotal === undefined ? {} : { maxTotal: o.maxTotal }),
      ...(o.maxPrice === undefined ? {} : { maxPricePerHour: o.maxPrice }),
    },
  };
}

function decisionText(d: PlacementView, output: Output, explain = false): string {
  if (output.json) return `${jsonText(d)}\n`;
  const table = rowsText(
    d.candidates,
    [
      { title: '#', of: (c) => c.rank, right: true },
      { title: 'provider', of: (c) => c.offer.providerId },
      {
        title: 'accelerator',
        of: (c) => (c.offer.count === 0 ? c.offer.accelerator : `${c.offer.count} x ${c.offer.accelerator}`),
      },
      { title: 'region', of: (c) => c.offer.region },
      { title: 'pricing', of: (c) => c.offer.pricing },
      { title: '$/h', of: (c) => dollars(c.offer.pricePerHour), right: true },
      { title: 'expected', of: (c) => duration(c.expectedS), right: true },
      { title: 'total', of: (c) => dollars(c.cost.total), right: true },
      { title: 'fit', of: (c) => Math.round(c.scores.gpuFit), right: true },
      { title: 'link', of: (c) => Math.round(c.scores.interconnect), right: true },
      { title: 'reliable', of: (c) => Math.round(c.scores.reliability), right: true },
      { title: 'price', of: (c) => Math.round(c.scores.price), right: true },
    ],
    output,
  );
  if (explain) return `${table}\n${explanationText(d, output)}\n${footOf(d)}`;
  if (!output.table) return table;
  const reasons = d.candidates.flatMap((c) => [
    '',
    `${c.rank}. ${c.offer.providerId} ${c.offer.sku}`,
    `   ${costLine(c.cost)}`,
    ...c.reasons.map((r) => `   - ${r}`),
  ]);
  return `${table}${[...reasons, ''].map((line) => `${plainLine(line)}\n`).join('')}${footOf(d)}`;
}

function footOf(d: PlacementView): string {
  const rejected = Object.entries(d.rejections)
    .sort(([, a], [, b]) => b - a)
    .map(([dimension, n]) => `${n} ${dimension}`);
  return [
    `${d.considered} offers looked at, ${d.fitting} fit; rejected: ${rejected.join(', ') || 'none'}`,
    ...(d.contradictions ?? []),
    ...d.hints,
    `Decision ${d.id}`,
  ]
    .map((line) => wrapped(plainLine(line), 100, '  '))
    .join('');
}

function costLine(cost: PlacementView['candidates'][number]['cost']): string {
  const terms = Object.entries(cost).filter(([name, nano]) => name !== 'total' && BigInt(nano) !== 0n);
  return `${dollars(cost.total)} = ${terms.map(([name, nano]) => `${dollars(nano)} ${spaced(name)}`).join(' + ')}`;
}
