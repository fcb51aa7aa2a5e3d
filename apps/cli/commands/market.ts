import type { Command } from 'commander';
import type { PlacementView } from '#contracts';
import { idArgument, pages, withBroker } from '../command.js';
import { Ended, EXIT, UsageError } from '../exit.js';
import { defined, money, oneOf, someOf, wholeNumber } from '../flags.js';
import { print, rowsText, type Output } from '../output.js';
import { ago, dollars, duration, jsonText, plainLine, wrapped } from '../text.js';
import { registerOfferHistory } from './offer-history.js';
import { explanationText, replayText, spaced } from './explanation.js';
import {
  constraintOptions,
  OBJECTIVES,
  PRICING,
  workloadOptions,
  type ConstraintFlags,
  type WorkloadFlags,
} from './workload-flags.js';
import { constraintFlags, constraintsOf, givenWorkload, type ConstraintFlag } from './workload-of.js';

const ORDERS = ['price', 'gpu-price'] as const;
const SCOPES = ['market', 'rentable'] as const;
const CONSTRAINTS = Object.keys(constraintFlags) as ConstraintFlag[];

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
              { title: 'vram GiB', of: (r) => r.vramGiB, right: true, spare: true },
              { title: 'isolation', of: (r) => r.isolation, spare: true },
              { title: 'link', of: (r) => r.interconnect.intraNode, spare: true },
              { title: 'region', of: (r) => r.region },
              { title: 'pricing', of: (r) => r.pricing },
              { title: '$/h', of: (r) => dollars(r.pricePerHour), right: true },
              {
                title: '$/gpu-h',
                of: (r) => (r.pricePerGpuHour === null ? '' : dollars(r.pricePerGpuHour)),
                right: true,
              },
              { title: 'status', of: (r) => (r.doubts.length > 0 ? 'doubtful' : r.status), spare: true },
              { title: 'seen', of: (r) => ago(r.observedAt), spare: true },
            ],
            output,
          ),
        );
      }),
    );

  registerOfferHistory(offers);
  const placement = berth.command('placement').description('where work would go, and why');
  workloadOptions(
    placement
      .command('preview')
      .description('rank offers for a workload by the expected cost of the finished work; rents nothing'),
  )
    .option('--scope <scope>', 'market (all that is listed) or rentable', oneOf(SCOPES), 'market')
    .option('--top <n>', 'candidates to show', wholeNumber(1, 100), 5)
    .option('--explain', 'why the first won, term by term, and what was kept out by one constraint only')
    .addHelpText(
      'after',
      '\nExamples:\n  berth placement preview --gpu H100,A100 --count 8 --interconnect nvswitch --gpu-hours 10\n  berth placement preview --gpu H100 --count 8 --interconnect nvlink --explain\n  berth placement preview --file workload.json --scope rentable',
    )
    .action(
      withBroker(async ({ client, output }, o: PreviewFlags) => {
        const { answerOf, previewPlacement } = await import('#client');
        const workload = await givenWorkload(o);
        const decision = (await answerOf(
          previewPlacement({ client, body: { workload: workload as never, scope: o.scope, limit: o.top } }),
        )) as unknown as PlacementView;
        print(decisionText(decision, output, o.explain));
        if (decision.fitting === 0) {
          // What would have to change stands below a table already.
          const told = !output.json && (output.table || o.explain === true);
          const why = told ? [] : [...(decision.contradictions ?? []), ...decision.hints];
          throw new Ended(
            EXIT.nothingFits,
            `none of ${decision.considered} offers fits.${why.map((line) => `\n  ${line}`).join('')}`,
          );
        }
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
  const replay = placement
    .command('replay')
    .argument('<id>', 'a placement', idArgument('pl'))
    .description('take a decision again with today’s catalog or another policy, and say what changed; rents nothing')
    .option('--objective <objective>', OBJECTIVES.join(', '), oneOf(OBJECTIVES))
    .option('--scope <scope>', 'market (all that is listed) or rentable', oneOf(SCOPES))
    .option('--without <constraints>', `drop these: ${CONSTRAINTS.join(', ')}`, someOf(CONSTRAINTS))
    .option('--top <n>', 'candidates to show', wholeNumber(1, 100), 5)
    .option('--explain', 'why the first won today, and what was kept out by one constraint only');
  constraintOptions(replay)
    .addHelpText(
      'after',
      '\nExamples:\n  berth placement replay pl_01j00000000000000000000000\n  berth placement replay pl_01j00000000000000000000000 --objective fastest\n  berth placement replay pl_01j00000000000000000000000 --without region,max-price --deadline 6h',
    )
    .action(
      withBroker(async ({ client, output }, id: string, o: ReplayFlags) => {
        const { answerOf, replayPlacement } = await import('#client');
        const body = replayBody(o);
        const decision = (await answerOf(
          replayPlacement({ client, path: { id }, body: body as never }),
        )) as unknown as PlacementView;
        if (output.json) print(decisionText(decision, output));
        else print(replayText(decision, output) + (o.explain ? `\n${explanationText(decision, output)}` : ''));
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

interface PreviewFlags extends WorkloadFlags {
  scope: (typeof SCOPES)[number];
  top: number;
  explain?: boolean;
}

interface ReplayFlags extends ConstraintFlags {
  objective?: (typeof OBJECTIVES)[number];
  scope?: PreviewFlags['scope'];
  without?: ConstraintFlag[];
  top: number;
  explain?: boolean;
}

/** What a replay asks; a constraint is dropped or given anew, not both. */
export function replayBody(o: ReplayFlags) {
  const constraints = constraintsOf(o);
  const both = o.without?.find((flag) => constraintFlags[flag] in constraints);
  if (both !== undefined) throw new UsageError(`--${both} or --without ${both}, not both`);
  const without = o.without?.map((flag) => constraintFlags[flag]);
  return { ...defined({ objective: o.objective, scope: o.scope, without }), constraints, limit: o.top };
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
      { title: 'fit', of: (c) => Math.round(c.scores.gpuFit), right: true, spare: true },
      { title: 'link', of: (c) => Math.round(c.scores.interconnect), right: true, spare: true },
      { title: 'reliable', of: (c) => Math.round(c.scores.reliability), right: true, spare: true },
      { title: 'price', of: (c) => Math.round(c.scores.price), right: true, spare: true },
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
