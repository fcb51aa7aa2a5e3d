import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, HOUR, newId, SeededRandom } from '#kernel';
import { priceTermsSchema } from '#contracts';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { Prices } from './index.js';

const terms = (marginBps: number) =>
  priceTermsSchema.parse({ marginBps: { hyperscaler: marginBps }, plans: { lab: { discountBps: 200 } } });

describe.each(specStores)('prices $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  let prices: Prices;
  beforeAll(async () => {
    opened = await open();
    const random = new SeededRandom('prices');
    till = await openTill(opened, random);
    prices = new Prices(opened.clock, random);
  });
  afterAll(async () => opened.close());

  it('change only from now on, by a new version', async () => {
    const { organizationId, projectId } = await till.tenant('1');
    const of = { organizationId, projectId, priceClass: 'hyperscaler', providerMarginBps: 300 } as const;
    const at = (ms: number) => till.tx((tx) => prices.termsFor(tx, of, ms));
    const now = await till.tx((tx) => tx.now());
    expect((await at(now)).marginBps).toBe(300);
    const first = await till.tx((tx) => prices.publish(tx, { terms: terms(1_000) }));
    const second = await till.tx((tx) =>
      prices.publish(tx, { terms: terms(2_000), effectiveAt: first.effectiveAt + HOUR, note: 'dearer' }),
    );
    expect([first.version, second.version]).toEqual([1, 2]);
    expect(await at(first.effectiveAt - 1)).toMatchObject({ bookVersion: null, marginBps: 300 });
    expect(await at(second.effectiveAt - 1)).toMatchObject({ bookVersion: 1, marginBps: 1_000 });
    expect(await at(second.effectiveAt)).toMatchObject({ bookVersion: 2, marginBps: 2_000 });
    await expect(till.tx((tx) => prices.publish(tx, { terms: terms(1), effectiveAt: now - DAY }))).rejects.toThrow(
      'in the past',
    );
    await till.tx((tx) => prices.setPlan(tx, organizationId, 'lab', second.effectiveAt + DAY));
    expect(await at(second.effectiveAt + DAY - 1)).toMatchObject({ discountBps: 0 });
    expect(await at(second.effectiveAt + DAY)).toMatchObject({ discountBps: 200 });
    await expect(till.tx((tx) => prices.setPlan(tx, organizationId, 'unknown'))).rejects.toThrow('no plan "unknown"');
    if (opened.postgres) await expect(opened.postgres.owner.query('truncate price_books')).rejects.toThrow();
  });

  it('of tokens are looked up by model for whatever uses it, less the discount of the project that asks', async () => {
    const { organizationId, projectId } = await till.tenant('1');
    const other = newId('project');
    const tokens = { small: { input: '1000', cached: '100', output: '4000' } };
    const [latest] = await till.tx((tx) => prices.book(tx));
    const effectiveAt = (latest?.effectiveAt ?? 0) + 2 * DAY;
    const book = priceTermsSchema.parse({ tokens, free: { input: '7' }, requestMinimumNano: '9' });
    await till.tx(async (tx) => {
      await prices.publish(tx, { terms: book, effectiveAt });
      const promise = { organizationId, projectId, per: 'month', amountNano: 1n, discountBps: 2_500 } as const;
      await prices.commit(tx, { ...promise, endsAt: effectiveAt + DAY });
    });
    const asked = (project: string, model: string, atMs: number) =>
      till.tx((tx) => prices.tokenTermsFor(tx, { organizationId, projectId: project }, model, atMs));
    expect(await asked(projectId, 'small', effectiveAt)).toMatchObject({
      discountBps: 2_500,
      tokens: { small: { input: '750', cached: '75', output: '3000' } },
      free: { input: '7' },
      requestMinimumNano: '9',
    });
    expect(await asked(other, 'small', effectiveAt)).toMatchObject({ discountBps: 0, tokens });
    expect(await asked(projectId, 'large', effectiveAt)).toBeNull();
    expect(await asked(projectId, 'small', effectiveAt - 1)).toBeNull();
  });
});
