import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ManualClock } from '#kernel';
import { billedSeconds } from './bill.js';
import { SandboxCloud } from './cloud.js';
import { faultKinds, faultRuleSchema, type FaultPoint, type FaultRule } from './fault.js';
import { cloudMachine, type CloudState } from './machine.js';
import { defaultSkus } from './sku.js';

type Op =
  | { readonly op: 'create'; readonly name: number }
  | { readonly op: 'terminate' | 'preempt' | 'fail' | 'silence' | 'get'; readonly nth: number }
  | { readonly op: 'list' }
  | { readonly op: 'wait'; readonly ms: number };

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('create' as const), name: fc.nat(5) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constantFrom(
        'terminate' as const,
        'preempt' as const,
        'fail' as const,
        'silence' as const,
        'get' as const,
      ),
      nth: fc.nat(8),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ op: 'list' as const }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 200_000 }) }) },
);

const pairs = (Object.keys(faultKinds) as FaultPoint[]).flatMap((point) =>
  faultKinds[point].map((kind) => [point, kind] as const),
);
const rule: fc.Arbitrary<FaultRule> = fc
  .record({
    pair: fc.constantFrom(...pairs),
    occurrence: fc.integer({ min: 1, max: 5 }),
    arg: fc.nat(100_000),
    noticeMs: fc.nat(50_000),
  })
  .map(({ pair: [point, kind], ...more }) => ({ point, kind, ...more }));

const world = fc.record({
  seed: fc.nat(1_000_000),
  clientTokens: fc.boolean(),
  windowMs: fc.constantFrom(0, 20_000),
  stopMs: fc.constantFrom(0, 3_000),
  billedFrom: fc.constantFrom('running' as const, 'provisioning' as const),
  faults: fc.array(rule, { maxLength: 4 }),
  ops: fc.array(op, { maxLength: 40 }),
});
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

const skus = defaultSkus
  .slice(1, 3)
  .map((sku) => ({ ...sku, stock: 2, preemptionsPerHour: sku.pricing === 'spot' ? 20 : 0 }));

/** Runs a history; `pieces` cuts every wait, so that the cloud is looked at more often. */
function play(w: World, pieces: number, look: (cloud: SandboxCloud) => void = () => undefined): SandboxCloud {
  const { seed, faults, ops, ...settings } = w;
  const clock = new ManualClock();
  const cloud = new SandboxCloud({ clock, seed, skus, settings, faults });
  for (const step of ops) {
    const id = 'nth' in step ? (cloud.machines()[step.nth]?.id ?? 'nobody') : '';
    if (step.op === 'create') {
      const sku = skus[step.name % 2] ?? skus[0];
      if (!sku) throw new Error('no SKU');
      const name = `m${step.name}`;
      cloud.create({ sku: sku.name, region: sku.region, name, clientToken: name, tags: {}, bootstrap: null });
    } else if (step.op === 'wait') {
      for (let i = 0; i < pieces; i++) {
        clock.advance(step.ms / pieces);
        if (pieces > 1) cloud.advance();
      }
    } else if (step.op === 'list') cloud.list(null);
    else if (step.op === 'preempt') cloud.preempt(id, 1_000);
    else cloud[step.op](id);
    look(cloud);
  }
  return cloud;
}

describe('any history of the fake cloud', () => {
  it('never has negative stock, and what has ended stays ended', () => {
    fc.assert(
      fc.property(world, (w) => {
        const ended = new Map<string, CloudState>();
        play(w, 1, (cloud) => {
          for (const sku of skus) {
            const live = cloud.machines().filter((m) => m.sku === sku && !cloudMachine.isTerminal(m.state)).length;
            expect(live).toBeLessThanOrEqual(sku.stock);
          }
          for (const { id, state } of cloud.machines()) {
            expect(ended.get(id) ?? state).toBe(state);
            if (cloudMachine.isTerminal(state)) ended.set(id, state);
          }
        });
      }),
      { numRuns: 300 },
    );
  });

  it('bills every ended machine that cost once, for its life in minimum and increments', () => {
    fc.assert(
      fc.property(world, (w) => {
        const cloud = play(w, 1);
        const owed = cloud
          .machines()
          .filter((m) => m.billedFromMs !== null && m.endedAtMs !== null)
          .map((m) => {
            const from = m.history.find((h) => h.state === w.billedFrom)?.atMs ?? Number.NaN;
            const to = m.history.at(-1)?.atMs ?? Number.NaN;
            return [m.id, billedSeconds(to - from, cloud.settings.billing)] as const;
          });
        const billed = cloud.bill.map((line) => [line.machineId, line.seconds] as const);
        expect([...billed].sort()).toEqual([...owed].sort());
      }),
      { numRuns: 300 },
    );
  });

  it('is the same for the same seed, however often the cloud is looked at', () => {
    fc.assert(
      fc.property(world, (w) => {
        const once = play(w, 1);
        expect(play(w, 4).log).toEqual(once.log);
        expect(play(w, 1).bill).toEqual(once.bill);
      }),
      { numRuns: 200 },
    );
  });

  it('has its log in order of time', () => {
    fc.assert(
      fc.property(world, (w) => {
        const { log } = play(w, 1);
        for (const [i, entry] of log.entries()) {
          expect(entry.n).toBe(i + 1);
          expect(entry.atMs).toBeGreaterThanOrEqual(log[i - 1]?.atMs ?? 0);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('gives a machine the same boot whatever other machines there are', () => {
    const bootOf = (names: readonly string[]): number | undefined => {
      const clock = new ManualClock();
      const cloud = new SandboxCloud({ clock, seed: 3 });
      for (const name of names) {
        cloud.create({ sku: 'l4-1x', region: 'us-east-1', name, clientToken: null, tags: {}, bootstrap: null });
      }
      clock.advance(3_600_000);
      return cloud.machines().find((m) => m.request.name === 'x')?.billedFromMs ?? undefined;
    };
    expect(bootOf(['x'])).toBeDefined();
    expect(bootOf(['a', 'b', 'x', 'c'])).toBe(bootOf(['x']));
  });
});

describe('a fault rule', () => {
  it('is refused where its kind cannot happen', () => {
    expect(faultRuleSchema.safeParse({ point: 'get', kind: 'no-capacity' }).error?.issues[0]?.message).toBe(
      'no-capacity cannot happen at get',
    );
    expect(faultRuleSchema.safeParse({ point: 'create', kind: 'no-capacity', ocurrence: 1 }).success).toBe(false);
    for (const [point, kind] of pairs) expect(faultRuleSchema.safeParse({ point, kind }).success).toBe(true);
  });
});
