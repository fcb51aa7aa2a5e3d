import type { WorkloadInput } from '#contracts';
import { UsageError } from '../exit.js';
import { defined } from '../flags.js';
import { readInput } from '../input.js';
import type { ConstraintFlags, NeedFlags, WorkFlags, WorkloadFlags } from './workload-flags.js';

type Constraints = NonNullable<WorkloadInput['constraints']>;

/** The flag of each constraint. */
export const constraintFlags = {
  region: 'regions',
  country: 'countries',
  provider: 'providers',
  'exclude-provider': 'excludeProviders',
  'provider-kind': 'providerKinds',
  pricing: 'pricing',
  certification: 'certifications',
  'max-price': 'maxPricePerHour',
  'max-total': 'maxTotal',
  deadline: 'deadlineS',
} as const satisfies Record<string, keyof Constraints>;
export type ConstraintFlag = keyof typeof constraintFlags;

/** What is defined of it under that name; nothing where nothing is. */
function part<K extends string, T extends object>(name: K, value: T): { [P in K]?: ReturnType<typeof defined<T>> } {
  const some = defined(value);
  return Object.keys(some).length > 0 ? ({ [name]: some } as { [P in K]: typeof some }) : {};
}

/** The file's workload, or that of the options. */
export async function givenWorkload(o: WorkloadFlags): Promise<unknown> {
  const work = workOf(o);
  const options = { ...neededBy(o), ...(work === undefined ? {} : { work }) };
  if (o.file === undefined) return options;
  const described = Object.keys(options);
  if (described.length > 0)
    throw new UsageError('--file is the whole workload: leave out the options that describe it');
  const text = await readInput(o.file);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new UsageError(`${o.file} is not JSON: ${error instanceof Error ? error.message : 'unreadable'}`);
  }
}

/** Everything of a workload but how much work it is; empty when nothing was said. */
export function neededBy(o: NeedFlags): Omit<WorkloadInput, 'work'> {
  if (o.checkpoint !== undefined && o.checkpointEvery !== undefined && o.checkpointEvery < o.checkpoint)
    throw new UsageError('--checkpoint-every is shorter than --checkpoint, which saving one takes');
  if ((o.lateAfter === undefined) !== (o.lateCost === undefined))
    throw new UsageError('--late-after and --late-cost go together');
  const wantsGpu = [o.gpu, o.count, o.minVram, o.interconnect, o.isolation].some((said) => said !== undefined);
  // With a cost the interval is the checkpoint's own; without, it is what a lost machine costs at most.
  const every = o.checkpoint === undefined ? { checkpointS: o.checkpointEvery } : {};
  return {
    ...(wantsGpu
      ? {
          accelerator: {
            count: o.count ?? 1,
            ...defined({ models: o.gpu, minVramGiB: o.minVram, interconnect: o.interconnect, isolation: o.isolation }),
          },
        }
      : {}),
    ...defined({
      nodes: o.nodes,
      minVcpus: o.minVcpus,
      minRamGiB: o.minRam,
      ...every,
      storageGB: o.storage,
      egressGB: o.egress,
      objective: o.objective,
    }),
    ...(o.checkpoint === undefined
      ? {}
      : { checkpoint: { costS: o.checkpoint, ...defined({ intervalS: o.checkpointEvery }) } }),
    ...part('needs', { cuda: o.cuda, rocm: o.rocm, driver: o.driver, computeCapability: o.computeCapability }),
    ...(o.lateAfter === undefined || o.lateCost === undefined
      ? {}
      : { lateness: { afterS: o.lateAfter, dollarsPerHour: o.lateCost } }),
    ...part('constraints', constraintsOf(o)),
  };
}

export function constraintsOf(o: ConstraintFlags): Partial<Constraints> {
  return defined({
    regions: o.region,
    countries: o.country,
    providers: o.provider,
    excludeProviders: o.excludeProvider,
    providerKinds: o.providerKind,
    pricing: o.pricing,
    certifications: o.certification,
    maxPricePerHour: o.maxPrice,
    maxTotal: o.maxTotal,
    deadlineS: o.deadline,
  });
}

/** How much work; undefined when nothing was said. */
export function workOf(o: WorkFlags): WorkloadInput['work'] {
  const tokens = o.inputTokens !== undefined || o.outputTokens !== undefined;
  const ways = [o.hours !== undefined, o.gpuHours !== undefined, tokens].filter(Boolean).length;
  if (ways > 1) throw new UsageError('--hours, --gpu-hours or tokens: one of them says how much work there is');
  if (o.reference !== undefined && o.gpuHours === undefined) throw new UsageError('--reference goes with --gpu-hours');
  if (tokens && o.modelSize === undefined) throw new UsageError('tokens need --model-size, in billions of parameters');
  if (!tokens && (o.modelSize ?? o.weightBytes) !== undefined)
    throw new UsageError('--model-size and --weight-bytes go with --input-tokens and --output-tokens');
  if (o.gpuHours !== undefined) return { kind: 'gpu-hours', hours: o.gpuHours, reference: o.reference ?? 'H100-SXM' };
  if (o.hours !== undefined) return { kind: 'wall-hours', hours: o.hours };
  if (o.modelSize === undefined) return undefined;
  return {
    kind: 'tokens',
    inputTokens: o.inputTokens ?? 0,
    outputTokens: o.outputTokens ?? 0,
    parametersB: o.modelSize,
    ...defined({ bytesPerParameter: o.weightBytes }),
  };
}
