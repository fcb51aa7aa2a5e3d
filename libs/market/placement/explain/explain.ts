import { isolationOf, type Workload } from '#contracts';
import { formatCents, NANO_PER_USD } from '#kernel';
import type { PlacementContext } from '../context.js';
import { spentOf, type ExpectedCost } from '../cost/cost.js';
import { compatibility } from '../fit/compatibility.js';
import { unitsUsed, demandOf } from '../fit/demand.js';
import { fabricShare } from '../fit/fabric.js';
import type { RankedOffer } from '../columns/ranking.js';
import { duration, givenUpFor, percent, type GivenUpFor } from './words.js';

/** Cents for people; small amounts keep their first digits instead of reading $0.00. */
export function money(nano: bigint): string {
  if (nano === 0n || nano >= NANO_PER_USD / 10n) return formatCents(nano);
  return `$${(Number(nano) / 1e9).toPrecision(2)}`;
}

/** Terms that are paid besides computing, with what their money is for. */
export const termWords: readonly (readonly [Exclude<keyof ExpectedCost, 'total' | 'compute'>, string])[] = [
  ['restarts', 'lost work and its reboots'],
  ['failedStarts', 'starts that fail'],
  ['coldStart', 'the first boot'],
  ['billingWaste', 'billed time that is not used'],
  ['egress', 'data going out'],
  ['storage', 'data kept'],
];

/** Why an offer stands where it stands, in sentences with figures; the first says what is paid. */
export function reasonsFor(
  context: PlacementContext,
  workload: Workload,
  candidate: RankedOffer,
  next: RankedOffer | undefined,
  forWhat: GivenUpFor = givenUpFor.blocks,
): string[] {
  const { cost } = candidate;
  // What is below a thousandth of the sum says nothing to a reader; the terms themselves are all in the view.
  const least = spentOf(cost) / 1_000n;
  const parts = termWords
    .filter(([term]) => cost[term] > least)
    .map(([term, what]) => `${money(cost[term])} for ${what}`);
  const spent = `${money(spentOf(cost))} expected for the finished work: ${[`${money(cost.compute)} for computing`, ...parts].join(', ')}.`;
  return [
    spent,
    machineSentence(context, workload, candidate),
    ...timeSentences(workload, candidate),
    ...softwareSentences(workload, candidate),
    ...isolationSentences(candidate),
    ...beliefSentences(context, candidate),
    ...(next ? [nextSentence(cost, next, forWhat)] : []),
  ];
}

function machineSentence(context: PlacementContext, workload: Workload, { offer, time }: RankedOffer): string {
  const { nodes } = workload;
  const what = offer.count > 0 ? `${offer.count} x ${offer.accelerator}` : `${offer.vcpus ?? 'some'} vCPUs`;
  const each = nodes > 1 ? `${nodes} machines of ${what}` : what;
  const units = unitsUsed(demandOf(workload), offer);
  const idle = offer.count > units ? `; ${offer.count - units} of them stay idle` : '';
  const fabric = fabricShare(context.speeds, offer, units, nodes);
  const link = units > 1 ? ` The ${offer.interconnect.intraNode} link` : ` The ${offer.interconnect.interNode} fabric`;
  const both = units > 1 && nodes > 1 ? ` and the ${offer.interconnect.interNode} fabric keep` : ' keeps';
  const kept = units > 1 || nodes > 1 ? `${link}${both} ${percent(fabric.efficiency)} of their summed speed.` : '';
  const unknown = fabric.assumed.length > 0 ? ` Not known: the ${fabric.assumed.join(' and the ')}.` : '';
  const rate = money(offer.pricePerHour * BigInt(nodes));
  return `${each} at ${rate} per hour (${offer.pricing}) for ${duration(time.usefulS)} of useful work${idle}.${kept}${unknown}`;
}

function timeSentences(workload: Workload, { time, cost }: RankedOffer): string[] {
  const sentences: string[] = [];
  const boot = time.reliability.bootS > 0 ? `a boot of ${duration(time.reliability.bootS)}` : 'no boot';
  const valued = cost.timeValue > 0n ? `; waiting counts ${money(cost.timeValue)} under "${workload.objective}"` : '';
  sentences.push(`Finished after ${duration(time.expectedS)} on average, with ${boot}${valued}.`);
  if (workload.lateness && time.lateS >= 1)
    sentences.push(
      `Late by ${duration(time.lateS)} on average, at $${workload.lateness.dollarsPerHour} an hour: part of what waiting counts.`,
    );
  if (workload.checkpoint)
    sentences.push(
      `A checkpoint after each ${duration(time.checkpointS)} of work (${workload.checkpoint.intervalS === undefined ? 'by Young and Daly' : 'as asked'}; one takes ${duration(workload.checkpoint.costS)}).`,
    );
  if (time.losses >= 0.005)
    sentences.push(
      `${time.losses.toFixed(2)} losses of the machine expected, each costing ${duration(time.lostPerLossS)} of work and a new start.`,
    );
  return sentences;
}

function softwareSentences(workload: Workload, { offer }: RankedOffer): string[] {
  const { unknown } = compatibility(workload.needs, offer);
  return unknown.length === 0
    ? []
    : [`Its ${unknown.join(' and ')} ${unknown.length > 1 ? 'are' : 'is'} unknown, so it is believed less.`];
}

function isolationSentences({ offer }: RankedOffer): string[] {
  const isolation = isolationOf(offer);
  if (isolation === 'mig')
    return [
      'A MIG instance: memory and compute of its own in hardware; power and a fault of the whole GPU are shared.',
    ];
  if (isolation === 'time-slice')
    return [
      'A time slice: it takes turns on one GPU with the work of others, and nothing keeps memory or faults apart.',
    ];
  return isolation === 'unknown' ? ['A part of a GPU; how it is kept apart from the others is not known.'] : [];
}

function gangSentence({ machines, gang: { exponent, batches } }: RankedOffer['time']): string {
  const from =
    batches > 0
      ? `learnt from ${batches} ${batches === 1 ? 'loss' : 'losses'} of machines that ran side by side`
      : 'from the public record of 16 H100 that ran side by side';
  return `${machines} machines of one zone are lost ${(machines ** exponent).toFixed(1)} times as often as one (${from}).`;
}

function beliefSentences(context: PlacementContext, { offer, time, cost, confidence }: RankedOffer): string[] {
  const sentences: string[] = [];
  if (time.failuresPerStart >= 0.005)
    sentences.push(
      `${percent(time.failuresPerStart / (1 + time.failuresPerStart))} of starts fail (${time.reliability.source}).`,
    );
  else if (time.reliability.seen) sentences.push(`Relied on for ${time.reliability.source}.`);
  if (time.machines > 1) sentences.push(gangSentence(time));
  if (offer.via.kind === 'warm-lease')
    sentences.push('A machine of your own project is idle and takes the work at once.');
  if (offer.via.kind === 'host') sentences.push('A registered host whose agent is already running.');
  const ageMs = context.nowMs - offer.observedAtMs;
  if (ageMs >= 86_400_000 || confidence < 0.8)
    sentences.push(
      `The price was seen ${duration(Math.max(0, ageMs) / 1_000)} ago (${offer.source}) and is believed at ${percent(confidence)}.`,
    );
  if (cost.risk > 0n) sentences.push(`Uncertainty of price and luck counts ${money(cost.risk)}.`);
  if (offer.status === 'listed') sentences.push('Listed only: connect the provider to rent it.');
  return sentences;
}

function nextSentence(cost: ExpectedCost, next: RankedOffer, forWhat: GivenUpFor): string {
  const more = next.cost.total - cost.total;
  const where = `${next.offer.sku} in ${next.offer.region} (${next.offer.providerId})`;
  if (more === 0n) return `The next, ${where}, counts the same.`;
  if (more < 0n) return `The next, ${where}, counts ${money(-more)} less, ${forWhat}.`;
  const share = cost.total > 0n ? ` (${percent(Number(more) / Number(cost.total))})` : '';
  return `The next, ${where}, counts ${money(more)} more${share}, all terms together.`;
}
