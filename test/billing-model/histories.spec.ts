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
