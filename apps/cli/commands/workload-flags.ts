import type { Command } from 'commander';
import type { Objective, PricingModel, ProviderKind } from '#contracts';
import { aboveZero, listOf, money, oneOf, someOf, timeSpan, twoLetters, versionNumber, wholeNumber } from '../flags.js';

export const OBJECTIVES = ['cheapest', 'balanced', 'reliable', 'fastest'] as const satisfies Objective[];
export const PRICING = ['on-demand', 'spot', 'reserved-1y', 'reserved-3y'] as const satisfies PricingModel[];
const KINDS = ['hyperscaler', 'bare-metal', 'decentralized', 'serverless'] as const satisfies ProviderKind[];
const ISOLATIONS = ['whole-gpu', 'mig', 'time-slice'] as const;
const LINKS = ['any', 'nvlink', 'nvswitch'] as const;

/** Constraints of a workload on the command line. */
export interface ConstraintFlags {
  region?: string[];
  country?: string[];
  provider?: string[];
  excludeProvider?: string[];
  providerKind?: ProviderKind[];
  pricing?: PricingModel[];
  certification?: string[];
  /** Nano-dollars. */
  maxPrice?: string;
  /** Nano-dollars. */
  maxTotal?: string;
  /** Seconds. */
  deadline?: number;
}

/** What work needs of a machine, wherever it is described on the command line. */
export interface NeedFlags extends ConstraintFlags {
  gpu?: string[];
  count?: number;
  minVram?: number;
  interconnect?: (typeof LINKS)[number];
  isolation?: (typeof ISOLATIONS)[number];
  nodes?: number;
  minVcpus?: number;
  minRam?: number;
  cuda?: string;
  rocm?: string;
  driver?: string;
  computeCapability?: string;
  /** Seconds. */
  checkpoint?: number;
  /** Seconds. */
  checkpointEvery?: number;
  storage?: number;
  egress?: number;
  objective?: Objective;
  /** Seconds. */
  lateAfter?: number;
  /** Dollars per hour. */
  lateCost?: number;
}

/** How much work there is. */
export interface WorkFlags {
  hours?: number;
  gpuHours?: number;
  reference?: string;
  inputTokens?: number;
  outputTokens?: number;
  modelSize?: number;
  weightBytes?: number;
}

/** A whole workload on the command line, or its file. */
export interface WorkloadFlags extends NeedFlags, WorkFlags {
  file?: string;
}

export function workloadOptions(command: Command): Command {
  command.option('--file <file>', 'the whole workload as JSON, in place of the options below; - for standard input');
  return needOptions(workOptions(command)).optionsGroup('Options:');
}

function workOptions(command: Command): Command {
  return command
    .optionsGroup('Work:')
    .option('--hours <n>', 'hours on whatever is rented; 1 without any of these', aboveZero)
    .option('--gpu-hours <n>', 'hours on --count of the reference GPU', aboveZero)
    .option('--reference <gpu>', 'the reference GPU; H100-SXM without it')
    .option('--input-tokens <n>', 'prompt tokens through a model of --model-size, such as 2e9', aboveZero)
    .option('--output-tokens <n>', 'answer tokens', aboveZero)
    .option('--model-size <n>', 'billions of parameters', aboveZero)
    .option('--weight-bytes <n>', 'bytes per parameter; 2 without it', aboveZero);
}

/** Everything but how much work there is. */
export function needOptions(command: Command): Command {
  command
    .optionsGroup('Machine:')
    .option('--gpu <models>', 'one or more, separated by commas; absent: a CPU is enough', listOf)
    .option('--count <n>', 'GPUs per machine', wholeNumber(0, 64))
    .option('--min-vram <GiB>', 'least memory per GPU, or of the part of one', wholeNumber(1, 2_000))
    .option(
      '--isolation <least>',
      'whole-gpu, mig or time-slice: with the latter two a part of a GPU will do',
      oneOf(ISOLATIONS),
    )
    .option('--interconnect <link>', 'least link between the GPUs: any, nvlink or nvswitch', oneOf(LINKS))
    .option('--nodes <n>', 'machines that start together, on one fabric', wholeNumber(1, 128))
    .option('--min-vcpus <n>', 'least vCPUs', aboveZero)
    .option('--min-ram <GiB>', 'least main memory', aboveZero)
    .option('--cuda <version>', 'least CUDA version that the image or engine needs', versionNumber)
    .option('--rocm <version>', 'least ROCm version', versionNumber)
    .option('--driver <version>', 'least driver version', versionNumber)
    .option('--compute-capability <version>', 'least of the GPU, such as 8.9', versionNumber)
    .optionsGroup('Loss, data and time:')
    .option('--checkpoint <time>', 'what saving a checkpoint takes; how often is chosen for each offer', timeSpan)
    .option('--checkpoint-every <time>', 'work that a lost machine costs at most; 10m without it', timeSpan)
    .option('--storage <GB>', 'data kept beside the machine until the work is done', aboveZero)
    .option('--egress <GB>', 'data to bring in and take out', aboveZero)
    .option('--objective <objective>', `${OBJECTIVES.join(', ')}; balanced without it`, oneOf(OBJECTIVES))
    .option('--late-after <time>', 'from then on each hour costs --late-cost', timeSpan)
    .option('--late-cost <dollars>', 'what an hour of being late costs you', aboveZero);
  return constraintOptions(command);
}

export function constraintOptions(command: Command): Command {
  return command
    .optionsGroup('Constraints:')
    .option('--region <regions>', 'one or more, separated by commas', listOf)
    .option('--country <codes>', 'two letters each, separated by commas', twoLetters)
    .option('--provider <names>', 'only these, separated by commas', listOf)
    .option('--exclude-provider <names>', 'none of these, separated by commas', listOf)
    .option('--provider-kind <kinds>', `${KINDS.join(', ')}; separated by commas`, someOf(KINDS))
    .option('--pricing <models>', `${PRICING.join(', ')}; separated by commas`, someOf(PRICING))
    .option('--certification <names>', 'all of these, separated by commas', listOf)
    .option('--max-price <dollars>', 'most per hour, all machines together', money)
    .option('--max-total <dollars>', 'most for the finished work', money)
    .option('--deadline <time>', 'be done so long from now on: cheap machines first, safe ones in time', timeSpan);
}
