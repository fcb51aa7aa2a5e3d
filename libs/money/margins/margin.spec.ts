import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HOUR, SeededRandom, usd } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { usageRecords } from '#money/metering';
import { marginBy, type MarginGroup } from './index.js';
import { marginRow } from './margin.js';

const START = Date.UTC(2026, 10, 21, 23);

describe('a margin', () => {
  it('is charge less cost, in parts of the charge', () => {
    expect(marginRow('x', usd('2.2'), usd('2'), 0n, 0n)).toMatchObject({ marginNano: usd('0.2'), marginBps: 909 });
    expect(marginRow('x', 0n, usd('2'), 0n, 5n)).toMatchObject({ marginNano: -usd('2'), marginBps: null });
  });
});

describe.each(specStores.filter((s) => s.name === 'PostgreSQL'))('margins $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, new SeededRandom('margins'));
  });
  afterAll(async () => opened.close());

  it('say per lease, day and provider what was charged, what it cost and what only cost', async () => {
    const tenant = await till.tenant('50');
    const providerId = await till.provider();
    const hold = await till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd('20') }));
    const meter = (leaseId: string, from: number, chargedH: number | null, costH: number, usedH: number) => {
      const side = (perHour: bigint, h: number) => ({ perHour, startMs: from, fromMs: from, toMs: from + h * HOUR });
      const charge = chargedH === null ? null : side(usd('3'), chargedH);
      const cost = { ...side(usd('2'), costH), usedToMs: from + usedH * HOUR };
      const of = { leaseId, ...tenant, jobId: null, providerId, holdId: hold.id, resource: 'H100 x 1', charge, cost };
      return till.tx((tx) => till.metering.leaseTime(tx, of));
    };
    // The vendor bills whole hours: half an hour of the first lease, and all of the second, is never charged; a quarter of an hour of the first and 24
    // minutes of the second nobody used.
    await meter('lease_a', START - HOUR, 1.5, 2, 1.75);
    await meter('lease_b', START, null, 1, 0.6);
    const tails = await till.tx((tx) =>
      tx.find(usageRecords, { source: 'lease-tail' }, { orderBy: [['fromAt', 'asc']] }),
    );
    expect(tails.map((r) => [r.leaseId, r.side, Number(r.quantity) / HOUR, r.amountNano])).toEqual([
      ['lease_b', 'cost', 0.4, usd('0.8')],
      ['lease_a', 'cost', 0.25, usd('0.5')],
    ]);
    const report = (by: MarginGroup) =>
      till.tx((tx) => marginBy(tx, { fromMs: START - 2 * HOUR, toMs: START + 2 * HOUR, by }));
    expect(await report('lease')).toEqual([
      marginRow('lease_a', usd('4.5'), usd('4'), usd('0.5'), BigInt(HOUR / 2)),
      marginRow('lease_b', 0n, usd('2'), usd('0.8'), BigInt(HOUR)),
    ]);
    expect(await report('provider')).toEqual([
      marginRow(providerId, usd('4.5'), usd('6'), usd('1.3'), BigInt(1.5 * HOUR)),
    ]);
    expect(await report('sku')).toEqual([
      marginRow(`${providerId} H100 x 1`, usd('4.5'), usd('6'), usd('1.3'), BigInt(1.5 * HOUR)),
    ]);
    // Midnight belongs to the day before.
    expect((await report('day')).map((r) => r.group)).toEqual(['2026-11-21']);
    expect(
      await till.tx((tx) => marginBy(tx, { fromMs: START + 2 * HOUR, toMs: START + 3 * HOUR, by: 'day' })),
    ).toEqual([]);
  });
});
