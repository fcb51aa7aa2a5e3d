import { describe, expect, it } from '@jest/globals';
import type { Interconnect, Offer, WorkloadInput } from '#contracts';
import { rankList } from '../columns/rank.js';
import { rankingView } from '../explain/view.js';
import { contextWith, offerWith, workloadWith } from '../placement.fixture.js';
import { hardwareSpeeds } from '../cost/speeds.js';
import { fabricShare } from './fabric.js';

const link = (over: Partial<Interconnect>): Interconnect => ({
  intraNode: 'nvswitch',
  intraNodeGBps: null,
  interNode: 'infiniband',
  interNodeGbps: 3_200,
  ...over,
});
const machine = (accelerator: string, over: Partial<Interconnect> = {}): Offer =>
  offerWith({ id: `list:${accelerator}/${JSON.stringify(over)}`, accelerator, count: 8, interconnect: link(over) });
const kept = (accelerator: string, over: Partial<Interconnect> = {}, nodes = 1, units = 8): number =>
  fabricShare(hardwareSpeeds, machine(accelerator, over), units, nodes).efficiency;

describe('fabricShare', () => {
  it('is all of it for one accelerator, and falls with their number', () => {
    expect(kept('H100-SXM', {}, 1, 1)).toBe(1);
    expect(kept('H100-SXM', {}, 1, 2)).toBeGreaterThan(kept('H100-SXM', {}, 1, 8));
    expect(kept('H100-SXM', {}, 2)).toBeLessThan(kept('H100-SXM'));
    expect(kept('H100-SXM', {}, 16)).toBeLessThan(kept('H100-SXM', {}, 2));
    expect(kept('H100-SXM')).toBeCloseTo(0.91, 2);
  });

  it('takes the figures of the offer before the names', () => {
    expect(kept('H100-SXM', { intraNodeGBps: 450 })).toBeLessThan(kept('H100-SXM', { intraNodeGBps: 900 }));
    expect(kept('H100-SXM', { interNodeGbps: 400 }, 4)).toBeLessThan(kept('H100-SXM', { interNodeGbps: 3_200 }, 4));
  });

  it('stays a share that can be reckoned with, whatever speed is stated', () => {
    expect(kept('H100-SXM', { intraNodeGBps: 1e-300 })).toBeGreaterThan(1e-4);
    expect(kept('H100-SXM', { intraNodeGBps: 1e-300 })).toBeLessThan(0.01);
  });

  it('tells SXM, NVL and PCIe apart', () => {
    const [sxm, nvl, pcie] = [
      kept('H100-SXM'),
      kept('H100-NVL', { intraNode: 'nvlink' }),
      kept('H100-PCIe', { intraNode: 'pcie5' }),
    ];
    expect(sxm).toBeGreaterThan(nvl);
    expect(nvl).toBeGreaterThan(pcie + 0.1);
  });

  it('counts what is not known as the worst of its kind, and says so', () => {
    const unknown = { intraNode: 'unknown', interNodeGbps: null } as const;
    for (const name of ['H100-SXM', 'H100-PCIe', 'L4']) {
      const links = name === 'H100-SXM' ? (['nvlink', 'nvswitch'] as const) : (['pcie3', 'pcie4', 'pcie5'] as const);
      for (const intraNode of links) expect(kept(name, unknown)).toBeLessThanOrEqual(kept(name, { intraNode }));
    }
    for (const interNode of ['ethernet', 'roce', 'infiniband', 'efa'] as const)
      expect(kept('H100-SXM', { interNode, interNodeGbps: null }, 2)).toBeLessThanOrEqual(
        kept('H100-SXM', { interNode, interNodeGbps: 100 }, 2),
      );
    expect(fabricShare(hardwareSpeeds, machine('H100-PCIe', unknown), 8, 2).assumed).toEqual([
      'link between its accelerators (counted as PCIe 3)',
      'speed of its fabric (counted as 100 Gbit/s)',
    ]);
    expect(fabricShare(hardwareSpeeds, machine('H100-SXM'), 8, 2).assumed).toEqual([]);
  });
});

describe('placement over a fabric', () => {
  const training = (over: WorkloadInput = {}) =>
    workloadWith({ accelerator: { count: 8 }, work: { kind: 'gpu-hours', hours: 10, reference: 'H100-SXM' }, ...over });

  it('finishes training sooner over the faster link, and says what was not known', () => {
    const offers = [machine('H100-PCIe', { intraNode: 'unknown' }), machine('H100-PCIe', { intraNode: 'pcie5' })];
    const { candidates } = rankingView(rankList(offers, training(), contextWith()));
    expect(candidates.map((c) => c.offer.interconnect.intraNode)).toEqual(['pcie5', 'unknown']);
    expect(candidates[1]?.reasons.join(' ')).toContain(
      'Not known: the link between its accelerators (counted as PCIe 3)',
    );
  });

  it('runs a gang on one fabric or not at all: known fabric, all its machines in one offer', () => {
    const gang = training({ nodes: 4 });
    const whyNot = (offer: Offer) => rankList([offer], gang, contextWith()).rejections;
    expect(whyNot(machine('H100-SXM'))).toEqual({});
    expect(whyNot(machine('H100-SXM', { interNode: 'unknown', interNodeGbps: null }))).toEqual({ nodes: 1 });
    expect(whyNot(machine('H100-SXM', { interNode: 'ethernet', interNodeGbps: null }))).toEqual({ nodes: 1 });
    expect(whyNot({ ...machine('H100-SXM'), stock: 3 })).toEqual({ 'no-stock': 1 });
  });

  it('does not say that no fabric is known of machines whose fabric is known and too slow', () => {
    const slow = machine('H100-SXM', { interNode: 'ethernet', interNodeGbps: 50 });
    const { hints, contradictions } = rankList([slow], training({ nodes: 4 }), contextWith());
    expect([...hints, ...contradictions].join(' ')).toContain('no match is known to have a fabric fast enough');
    expect(hints.join()).toContain('(no fabric fast enough for more is known there)');
  });

  it('lets replicas that fit one accelerator run without any link', () => {
    const work = { kind: 'tokens', inputTokens: 1e9, outputTokens: 1e9, parametersB: 8 } as const;
    const times = (['pcie3', 'nvswitch'] as const).map(
      (intraNode) =>
        rankList(
          [machine('A100-80GB-SXM', { intraNode })],
          workloadWith({ accelerator: { count: 8 }, work }),
          contextWith(),
        ).ranked[0]?.time.usefulS,
    );
    expect(times[0]).toBe(times[1]);
  });
});
