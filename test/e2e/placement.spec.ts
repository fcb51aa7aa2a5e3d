import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PlacementView } from '#contracts';
import { exitOf } from '../../apps/cli/exit.js';
import { CliOnSnapshot, commandsOf } from './doc-page.js';

const EXAMPLE = 'pl_01j00000000000000000000000';
let cli: CliOnSnapshot;
let decided = '';

beforeAll(async () => {
  cli = await CliOnSnapshot.start();
});
afterAll(() => cli.close());

const args = (line: string): string[] => line.replace(EXAMPLE, decided).split(' ').slice(1);

async function json(line: string): Promise<PlacementView> {
  return JSON.parse(await cli.berth(...args(line), '--json')) as PlacementView;
}

describe('docs/placement.md', () => {
  beforeAll(async () => {
    decided = (await json('berth placement preview --gpu A100 --region us-east-1 --max-price 100')).id;
  });
  const lines = commandsOf('docs/placement.md');

  it('shows commands', () => expect(lines.length).toBeGreaterThan(10));

  it.each(lines)('$line', async ({ line, exits }) => {
    if (exits === null) {
      expect((await cli.berth(...args(line))).trim().split('\n').length).toBeGreaterThan(1);
      return;
    }
    const error: unknown = await cli.berth(...args(line)).catch((e: unknown) => e);
    const { code, text } = exitOf(error, false);
    expect(code).toBe(exits);
    // Either what cannot be had together with what would do, or the nearest names.
    expect(text).toMatch(/cheapest match is \$[\d.]+ per hour|did you mean H100/);
  });

  it('has replays that change what they are told to', async () => {
    const dropped = await json(`berth placement replay ${EXAMPLE} --without region,max-price --pricing on-demand`);
    expect(dropped.workload.constraints).toEqual({ pricing: ['on-demand'] });
    expect(dropped.replay?.of).toBe(decided);
    const changed = dropped.replay?.question.map((q) => q.field) ?? [];
    expect(changed).toEqual(expect.arrayContaining(['constraints.regions', 'constraints.maxPricePerHour']));
    const explained = await cli.berth(...args(`berth placement replay ${EXAMPLE} --objective fastest --explain`));
    expect(explained).toContain('Asked with objective "fastest" instead of "balanced".');
    expect(explained).toContain('ONLY REJECTED BY');
  });

  it('has a deadline, lateness, checkpoints and software needs reach the question', async () => {
    const line =
      'berth placement preview --gpu A100 --hours 20 --deadline 48h --late-after 24h --late-cost 50 --checkpoint 2m --cuda 12.4';
    const { workload, candidates } = await json(line);
    expect(workload).toMatchObject({
      constraints: { deadlineS: 172_800 },
      lateness: { afterS: 86_400, dollarsPerHour: 50 },
      checkpoint: { costS: 120 },
      needs: { cuda: '12.4' },
    });
    // Chosen for each offer, so shown with each.
    expect(candidates.every((c) => (c.checkpointS ?? 0) > 0)).toBe(true);
  });
});
