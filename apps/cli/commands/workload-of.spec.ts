import { describe, expect, it } from '@jest/globals';
import { Command, CommanderError } from 'commander';
import { createJobSchema, objectives, pricingModels, providerKinds, workloadSchema } from '#contracts';
import { UsageError } from '../exit.js';
import type { SubmitFlags } from '../jobs/submit-flags.js';
import { workloadOf as jobWorkloadOf } from '../jobs/submit.js';
import { replayBody } from './market.js';
import { constraintOptions, needOptions, workloadOptions, type WorkloadFlags } from './workload-flags.js';
import { constraintFlags, givenWorkload } from './workload-of.js';

function parsed<T>(add: (command: Command) => Command, line: string): T {
  const command = add(new Command().exitOverride().configureOutput({ writeErr: () => undefined }));
  return command.parse(line === '' ? [] : line.split(' '), { from: 'user' }).opts<object>() as T;
}

const workload = async (line: string): Promise<unknown> => givenWorkload(parsed<WorkloadFlags>(workloadOptions, line));

/** Every field of a schema, objects in it opened. */
function fieldsOf(schema: unknown, path = ''): string[] {
  const json = schema as { properties?: Record<string, unknown>; oneOf?: unknown[] };
  const inner = json.oneOf ? json.oneOf.flatMap((one) => fieldsOf(one, path)) : [];
  const own = Object.entries(json.properties ?? {}).flatMap(([name, of]) => {
    const deeper = fieldsOf(of, `${path}${name}.`);
    return deeper.length > 0 ? deeper : [`${path}${name}`];
  });
  return [...inner, ...own];
}

/** Every path of a value. */
function pathsOf(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([name, of]) => pathsOf(of, path === '' ? name : `${path}.${name}`));
}

const everything =
  '--gpu H100,A100 --count 8 --min-vram 80 --interconnect nvlink --isolation whole-gpu --nodes 2 --min-vcpus 64 --min-ram 512 --cuda 12.4 ' +
  '--rocm 6.2 --driver 550.54.14 --compute-capability 8.9 --checkpoint 2m --checkpoint-every 30m --storage 100 ' +
  '--egress 50 --objective cheapest --late-after 6h --late-cost 40 --region us-east-1 --country us,DE --provider aws ' +
  '--exclude-provider gcp --provider-kind hyperscaler,bare-metal --pricing spot,on-demand --certification soc2 ' +
  '--max-price 98.32 --max-total 500 --deadline 12h';

describe('a workload on the command line', () => {
  it('has an option for every field there is', async () => {
    const said = await Promise.all([
      workload(`${everything} --gpu-hours 10 --reference A100-80GB-SXM`),
      workload('--checkpoint-every 5m --hours 3'),
      workload('--input-tokens 2e9 --output-tokens 1e8 --model-size 8 --weight-bytes 1'),
    ]);
    for (const one of said) expect(workloadSchema.safeParse(one).error).toBeUndefined();
    const given = new Set(said.flatMap((one) => pathsOf(one)));
    const fields = new Set(fieldsOf(workloadSchema.extend({}).toJSONSchema({ io: 'input' })));
    expect([...given].sort()).toEqual([...fields].sort());
    expect(said[0]).toMatchObject({
      accelerator: { models: ['H100', 'A100'], count: 8 },
      checkpoint: { costS: 120, intervalS: 1_800 },
      lateness: { afterS: 21_600, dollarsPerHour: 40 },
      constraints: { countries: ['US', 'DE'], maxPricePerHour: '98320000000', deadlineS: 43_200 },
    });
    expect(said[1]).toEqual({ checkpointS: 300, work: { kind: 'wall-hours', hours: 3 } });
  });

  it('says nothing that was not said', async () => {
    expect(await workload('')).toEqual({});
    expect(await workload('--gpu H100')).toEqual({ accelerator: { count: 1, models: ['H100'] } });
  });

  it('knows the choices and constraints of the contract', () => {
    const choices = (flag: string): string[] =>
      (workloadOptions(new Command()).options.find((o) => o.long === flag)?.description ?? '').split(/, |; /);
    expect(choices('--objective')).toEqual(expect.arrayContaining([...objectives]));
    expect(choices('--pricing')).toEqual(expect.arrayContaining([...pricingModels]));
    expect(choices('--provider-kind')).toEqual(expect.arrayContaining([...providerKinds]));
    const keys = workloadSchema.shape.constraints.unwrap().keyof().options;
    expect(Object.values(constraintFlags).sort()).toEqual([...keys].sort());
    const flags = constraintOptions(new Command()).options.map((o) => o.long);
    expect(flags).toEqual(Object.keys(constraintFlags).map((flag) => `--${flag}`));
  });

  it.each([
    ['--hours 1 --gpu-hours 2', 'one of them says how much work there is'],
    ['--reference H100', '--reference goes with --gpu-hours'],
    ['--input-tokens 1e9', 'tokens need --model-size'],
    ['--model-size 8', 'go with --input-tokens'],
    ['--late-cost 4', '--late-after and --late-cost go together'],
    ['--checkpoint 10m --checkpoint-every 5m', 'shorter than --checkpoint'],
    ['--file workload.json --gpu H100', '--file is the whole workload'],
    ['--file workload.json --hours 2', '--file is the whole workload'],
  ])('refuses %s', async (line, message) => {
    await expect(workload(line)).rejects.toThrow(new RegExp(message));
    await expect(workload(line)).rejects.toBeInstanceOf(UsageError);
  });

  it.each([
    ['--cuda twelve', 'It is a version such as 12.4.'],
    ['--country USA', 'codes of two letters'],
    ['--pricing spot,free', 'It is one of on-demand, spot, reserved-1y, reserved-3y.'],
    ['--provider-kind cloud', 'It is one of hyperscaler, bare-metal, decentralized, serverless.'],
    ['--checkpoint often', 'It is a time such as 90s, 15m or 2h.'],
    ['--late-cost free', 'It is a number above 0.'],
    ['--region ,', 'one or more words'],
    ['--nodes 0', 'It is a whole number from 1 to 128.'],
  ])('refuses %s where it stands', async (line, message) => {
    const error: unknown = await workload(line).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CommanderError);
    expect(String(error)).toContain(message);
  });
});

describe('the workload of a job', () => {
  const job = (line: string) => {
    const add = (c: Command) =>
      needOptions(c).option('--takes <s>', '', Number).option('--gpu-hours <n>', '', Number).option('--reference <g>');
    return jobWorkloadOf({ env: {}, in: [], out: [], ...parsed<Partial<SubmitFlags>>(add, line) });
  };

  it('is left to Berth where nothing was said, and takes all but the work', () => {
    expect(job('')).toEqual({});
    const { workload: all } = job(`${everything} --takes 7200`);
    expect(createJobSchema.shape.workload.safeParse(all).error).toBeUndefined();
    expect(all).toMatchObject({ work: { kind: 'wall-hours', hours: 2 }, needs: { cuda: '12.4' }, nodes: 2 });
    expect(job('--gpu-hours 5').workload).toEqual({ work: { kind: 'gpu-hours', hours: 5, reference: 'H100-SXM' } });
    expect(() => job('--gpu-hours 5 --takes 3')).toThrow('one of them says');
  });
});

describe('a replay', () => {
  it('changes and drops constraints by the names of their options', () => {
    const { without: none, ...same } = replayBody({ top: 5 }) as Record<string, unknown>;
    expect([none, same]).toEqual([undefined, { constraints: {}, limit: 5 }]);
    expect(replayBody({ top: 3, objective: 'fastest', deadline: 60, without: ['region', 'max-price'] })).toEqual({
      objective: 'fastest',
      without: ['regions', 'maxPricePerHour'],
      constraints: { deadlineS: 60 },
      limit: 3,
    });
    expect(() => replayBody({ top: 3, region: ['eu'], without: ['region'] })).toThrow(
      '--region or --without region, not both',
    );
  });
});
