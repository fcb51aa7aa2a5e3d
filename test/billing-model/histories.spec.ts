import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { specStores, type SpecStore } from '#testing';
import { happen, history, type Step } from './steps.js';
import { World } from './world.js';

const [inMemory, onPostgres] = specStores;
if (!inMemory || !onPostgres) throw new Error('two stores are needed');

/** Lives a history, looks at credit and holds after each step, and at usage and invoices too after each so many. */
async function live(world: World, steps: readonly Step[], deeperEvery: number): Promise<void> {
  for (const [i, step] of steps.entries()) {
    try {
      await happen(world, step);
      await world.agrees(i % deeperEvery === 0 || i === steps.length - 1);
    } catch (error) {
      const told = steps.slice(0, i + 1).filter((s) => s.kind !== 'nothing');
      throw new Error(`after these steps:\n${told.map(tell).join('\n')}`, { cause: error });
    }
  }
}

const tell = ({ kind, who, which, amount, forMs, crash }: Step): string =>
  `  ${kind} who ${who} which ${which} amount ${amount} forMs ${forMs} crash ${crash}`;

/** Mistakes that the product might have; a history must tell each. */
const faults: Readonly<Record<string, (world: World) => void>> = {
  'credit that is dropped': ({ till }) => Object.assign(till.ledger, { credit: () => Promise.resolve(null) }),
  'a hold that gives nothing back': ({ till }) => Object.assign(till.holds, { settle: () => Promise.resolve(0n) }),
  'a refund that is not asked for': ({ cards }) =>
    Object.assign(cards, { refund: () => Promise.resolve({ id: 'none' }) }),
  'a limit that is not kept': ({ till }) => {
    const { set } = till.quotas;
    till.quotas.set = (tx, order) => set.call(till.quotas, tx, { ...order, limitN: order.limitN + 1_000_000_000_000n });
  },
  'usage that is charged twice': ({ till }) => {
    const { leaseTime } = till.metering;
    till.metering.leaseTime = async (tx, interval, ends) => {
      const charged = await leaseTime.call(till.metering, tx, interval, ends);
      return { ...charged, chargedNano: charged.chargedNano * 2n };
    };
  },
};

/** The seed is in the name of the test: `SEED=... npm run test:billing-model` lives the same histories again. */
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000);

describe(`money over random histories, seed ${seed}`, () => {
  it('agrees with plain arithmetic after each step: 1,000 histories of 60 steps in memory', async () => {
    let lived = 0;
    await fc.assert(
      fc.asyncProperty(history(60), async (steps) => {
        const opened = await inMemory.open();
        const world = await World.open(opened, `m${lived++}`, 2);
        await live(world, steps, 10);
        await world.till.audit();
      }),
      { numRuns: 1_000, seed },
    );
    expect(lived).toBeGreaterThanOrEqual(1_000);
  });

  it.each(Object.entries(faults))('would notice %s', async (_, inject) => {
    let n = 0;
    const run = await fc.check(
      fc.asyncProperty(history(60), async (steps) => {
        const world = await World.open(await inMemory.open(), `f${n++}`, 2);
        inject(world);
        await live(world, steps, 10);
      }),
      { numRuns: 30, seed, endOnFailure: true },
    );
    expect(run.failed).toBe(true);
    expect(String(run.errorInstance)).toContain('after these steps');
  });

  describe('on PostgreSQL', () => {
    let opened: SpecStore;
    beforeAll(async () => {
      opened = await onPostgres.open();
    });
    afterAll(() => opened.close());

    it('agrees with plain arithmetic after each step: 50 histories of 500 steps', async () => {
      let lived = 0;
      await fc.assert(
        fc.asyncProperty(history(500), async (steps) => {
          await live(await World.open(opened, `p${lived++}`, 3), steps, 50);
        }),
        { numRuns: 50, seed, endOnFailure: true },
      );
      expect(lived).toBeGreaterThanOrEqual(50);
      await (await World.open(opened, 'audit', 1)).till.audit();
    });
  });
});
