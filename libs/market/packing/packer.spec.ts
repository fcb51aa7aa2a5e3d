import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { gpuSize, WHOLE_GPU, type Ask, type Demand, type NodeSpec, type Placed } from './ask.js';
import { Fleet } from './fleet.js';
import { Packer, PACKING, type PackingRule } from './packer.js';

const node = fc.record({
  model: fc.constantFrom('A', 'B', null),
  gpus: fc.constantFrom(0, 1, 2, 4, 8),
  cpuMilli: fc.constantFrom(8_000, 32_000, 96_000),
  memoryMiB: fc.constantFrom(16_384, 262_144),
});
const nodesOf = fc
  .array(node, { minLength: 1, maxLength: 6 })
  .map((all) => all.map((n): NodeSpec => ({ ...n, gpus: n.model === null ? 0 : n.gpus })));
const askOf = fc
  .record({
    cpuMilli: fc.constantFrom(0, 1_000, 4_000, 12_000),
    memoryMiB: fc.constantFrom(0, 4_096, 32_768),
    size: fc.constantFrom([0, 0], [1, 250], [1, 470], [1, 810], [1, 1_000], [2, 1_000], [4, 1_000], [8, 1_000]),
    models: fc.constantFrom(null, ['A'], ['B'], ['A', 'B'], ['absent']),
  })
  .map(({ size: [gpus = 0, gpuMilli = 0], ...rest }): Ask => ({ ...rest, gpus, gpuMilli }));
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ ask: askOf, back: fc.constant(null) }) },
  { weight: 2, arbitrary: fc.record({ ask: fc.constant(null), back: fc.nat(30) }) },
);

/** What is free, told anew from what was placed. */
function leftOver(nodes: readonly NodeSpec[], placed: readonly { at: Placed; ask: Ask }[]) {
  return nodes.map((n, i) => {
    const here = placed.filter((p) => p.at.node === i);
    const of = (pick: (a: Ask) => number): number => here.reduce((sum, p) => sum + pick(p.ask), 0);
    const gpus = Array.from({ length: n.gpus }, (_, g) =>
      here.reduce((left, p) => left - (p.at.gpus.includes(g) ? p.ask.gpuMilli : 0), WHOLE_GPU),
    );
    return { cpuMilli: n.cpuMilli - of((a) => a.cpuMilli), memoryMiB: n.memoryMiB - of((a) => a.memoryMiB), gpus };
  });
}

function couldHold(n: NodeSpec, left: ReturnType<typeof leftOver>[number] | undefined, ask: Ask): boolean {
  if (!left || left.cpuMilli < ask.cpuMilli || left.memoryMiB < ask.memoryMiB) return false;
  if (ask.gpus === 0) return true;
  if (n.gpus === 0 || (ask.models !== null && !ask.models.includes(n.model ?? ''))) return false;
  return left.gpus.filter((g) => g >= ask.gpuMilli).length >= ask.gpus;
}

const once = (asks: readonly Ask[]): Demand[] => asks.map((ask) => ({ ask, count: 1 }));

describe('the packer', () => {
  it('never takes what is not there, refuses only what no node can hold, and gives back exactly', () => {
    fc.assert(
      fc.property(
        nodesOf,
        fc.array(askOf, { maxLength: 8 }),
        fc.array(step, { maxLength: 60 }),
        (nodes, usual, steps) => {
          const fleet = new Fleet(nodes);
          const packer = new Packer(fleet, once(usual));
          const placed: { at: Placed; ask: Ask }[] = [];
          for (const { ask, back } of steps) {
            if (ask === null) {
              const [gone] = placed.splice(back ?? 0, 1);
              if (gone) packer.giveBack(gone.at);
            } else {
              const before = leftOver(nodes, placed);
              const at = packer.place(ask);
              expect(at !== null).toBe(nodes.some((n, i) => couldHold(n, before[i], ask)));
              if (at === null) continue;
              expect(couldHold(nodes[at.node] as NodeSpec, before[at.node], ask)).toBe(true);
              expect(new Set(at.gpus).size).toBe(ask.gpus);
              placed.push({ at, ask });
            }
            for (const [i, left] of leftOver(nodes, placed).entries()) {
              expect([fleet.cpuMilli[i], fleet.memoryMiB[i]]).toEqual([left.cpuMilli, left.memoryMiB]);
              expect(left.gpus.map((_, g) => fleet.leftOf(i, g))).toEqual(left.gpus);
              expect(left.gpus.every((g) => g >= 0)).toBe(true);
              expect(fleet.wholeFree[i]).toBe(left.gpus.filter((g) => g === WHOLE_GPU).length);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('chooses as one that remembers nothing would: what is kept of a node dies with its change', () => {
    fc.assert(
      fc.property(
        nodesOf,
        fc.array(askOf, { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(9), { maxLength: 25 }),
        (nodes, usual, order) => {
          const steady = { ...PACKING, byGpusUnderChurn: false };
          const kept = new Packer(new Fleet(nodes), once(usual), steady);
          const placed: Placed[] = [];
          for (const n of order) {
            const ask = usual[n % usual.length] as Ask;
            const anew = new Fleet(nodes);
            for (const p of placed) anew.take(p.node, anew.kindOf(askOfKind(p, nodes)), p.gpus[0] ?? -1);
            const fresh = new Packer(anew, once(usual), steady).place(ask);
            const got = kept.place(ask);
            expect(got && { node: got.node, gpus: got.gpus }).toEqual(fresh && { node: fresh.node, gpus: fresh.gpus });
            if (got) placed.push(got);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('keeps a whole machine whole while a started one has room', () => {
    const box: NodeSpec = { model: 'A', gpus: 8, cpuMilli: 96_000, memoryMiB: 393_216 };
    const one: Ask = { cpuMilli: 1_000, memoryMiB: 1_024, gpus: 1, gpuMilli: 1_000, models: null };
    const eight: Ask = { ...one, gpus: 8 };
    const packer = new Packer(new Fleet([box, box, box]), [
      { ask: one, count: 50 },
      { ask: eight, count: 10 },
    ]);
    const nodes = Array.from({ length: 8 }, () => packer.place(one)?.node);
    expect(new Set(nodes).size).toBe(1);
    expect([packer.place(eight)?.gpus.length, packer.place(eight)?.gpus.length]).toEqual([8, 8]);
  });

  it('lets the machine with the least work run empty once work departs, so that it is whole again', () => {
    const box: NodeSpec = { model: 'A', gpus: 8, cpuMilli: 96_000, memoryMiB: 393_216 };
    const one: Ask = { cpuMilli: 1_000, memoryMiB: 1_024, gpus: 1, gpuMilli: 1_000, models: null };
    const two: Ask = { ...one, gpus: 2 };
    const demand = [
      { ask: one, count: 50 },
      { ask: two, count: 5 },
      { ask: { ...one, gpus: 8 }, count: 10 },
    ];
    const chosen = (rule: PackingRule): number | undefined => {
      const fleet = new Fleet([box, box]);
      // Two pieces of work on the first, four on the second: as many GPUs of either.
      for (let n = 0; n < 2; n++) fleet.take(0, fleet.kindOf(two), -1);
      for (let n = 0; n < 4; n++) fleet.take(1, fleet.kindOf(one), -1);
      const packer = new Packer(fleet, demand, rule, 1);
      return packer.place(one)?.node;
    };
    expect(chosen(PACKING)).toBe(1);
    expect(chosen({ ...PACKING, leaves: 0 })).toBe(0);
  });

  it('leaves a scarce model to those that can use nothing else', () => {
    const box = (model: string): NodeSpec => ({ model, gpus: 4, cpuMilli: 96_000, memoryMiB: 393_216 });
    const anywhere: Ask = { cpuMilli: 1_000, memoryMiB: 1_024, gpus: 1, gpuMilli: 1_000, models: null };
    const bound: Ask = { ...anywhere, models: ['B'] };
    const packer = new Packer(new Fleet([box('B'), box('A')]), [
      { ask: anywhere, count: 4 },
      { ask: bound, count: 4 },
    ]);
    expect(Array.from({ length: 4 }, () => packer.place(anywhere)?.node)).toEqual([1, 1, 1, 1]);
    expect(Array.from({ length: 5 }, () => packer.place(bound)?.node)).toEqual([0, 0, 0, 0, undefined]);
  });

  it('puts a share where the least is wasted', () => {
    const box: NodeSpec = { model: 'A', gpus: 2, cpuMilli: 96_000, memoryMiB: 393_216 };
    const share = (gpuMilli: number): Ask => ({ cpuMilli: 0, memoryMiB: 0, gpus: 1, gpuMilli, models: null });
    const packer = new Packer(new Fleet([box]), [
      { ask: share(500), count: 5 },
      { ask: share(1_000), count: 5 },
    ]);
    const [first, second, whole] = [packer.place(share(500)), packer.place(share(500)), packer.place(share(1_000))];
    expect(second?.gpus).toEqual(first?.gpus);
    expect(whole?.gpus).not.toEqual(first?.gpus);
  });
});

describe('a fleet', () => {
  it('refuses to be given back what was never taken', () => {
    const fleet = new Fleet([{ model: 'A', gpus: 1, cpuMilli: 1_000, memoryMiB: 1_024 }]);
    const kind = fleet.kindOf({ cpuMilli: 0, memoryMiB: 0, gpus: 1, gpuMilli: 500, models: null });
    expect(gpuSize(kind)).toBe(0.5);
    expect(() => fleet.giveBack(0, kind, [0])).toThrow(RangeError);
  });

  it('has one kind for equal asks, whatever absent models they name', () => {
    const fleet = new Fleet([{ model: 'A', gpus: 1, cpuMilli: 1_000, memoryMiB: 1_024 }]);
    const ask: Ask = { cpuMilli: 1, memoryMiB: 1, gpus: 1, gpuMilli: 1_000, models: ['A'] };
    expect(fleet.kindOf({ ...ask, models: ['A', 'elsewhere'] })).toBe(fleet.kindOf(ask));
    expect(fleet.kindOf({ ...ask, models: null })).toBe(fleet.kindOf(ask));
  });
});

/** An ask of the same kind, for another fleet of the same nodes. */
function askOfKind(placed: Placed, nodes: readonly NodeSpec[]): Ask {
  const models = ['', ...new Set(nodes.flatMap((n) => (n.gpus > 0 && n.model !== null ? [n.model] : [])))];
  const { mask, cpuMilli, memoryMiB, gpus, gpuMilli } = placed.kind;
  return { cpuMilli, memoryMiB, gpus, gpuMilli, models: models.filter((_, m) => (mask >> m) & 1) };
}
