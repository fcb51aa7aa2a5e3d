import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { chargeBetween, DAY, formatUsd, HOUR, MINUTE, newId, SeededRandom, usd } from '#kernel';
import { account, ledgerPost } from '#money/ledger';
import { usageRecords, usageRow, usageSums, type UsageRow } from '#money/metering';
import { grants } from '#money/quotas';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { explainDay, explainHours } from './explain-day.js';

const MIDNIGHT = Date.UTC(2026, 10, 1);
const random = new SeededRandom('explained');
const terms = { bookVersion: 1, marginBps: 2_000, discountBps: 1_000, leaseMinimumMs: 0, slaCreditBps: 1_000 };
const lease = {
  id: 'lease_a',
  costPerHour: usd('2'),
  basisPerHour: null,
  chargeTerms: terms,
  requestedAt: MIDNIGHT - HOUR,
};
const rate = usd('2.16');

function record(of: Partial<Tenant>, fromAt: number, toAt: number, more: Partial<UsageRow> = {}): UsageRow {
  const id = newId('usage', fromAt, random);
  return usageRow({
    id,
    key: id,
    organizationId: 'org_a',
    projectId: 'prj_a',
    ...of,
    leaseId: 'lease_a',
    jobId: 'job_a',
    meter: 'lease-time',
    side: 'charge',
    resource: 'H100 x 1',
    model: 'H100',
    fromAt,
    toAt,
    quantity: BigInt(toAt - fromAt),
    unitPriceNano: rate,
    amountNano: chargeBetween(rate, fromAt, fromAt, toAt),
    createdAt: toAt,
    ...more,
  });
}

describe('an explained day', () => {
  it('is the example of docs/billing.md', () => {
    const evening = record({}, MIDNIGHT - 30 * MINUTE, MIDNIGHT + 45 * MINUTE);
    const [before, after, ...rest] = explainHours([evening], new Map([['lease_a', lease]]), []);
    const row = (hour: typeof before): string =>
      [
        new Date(hour?.at ?? 0).toISOString().slice(0, 16).replace('T', ' '),
        `${Number(hour?.lines[0]?.quantity) / 1_000} s`,
        formatUsd(hour?.amountNano ?? 0n),
        hour?.lines[0]?.why,
      ].join(' | ');
    const doc = readFileSync(join(process.cwd(), 'docs/billing.md'), 'utf8').replace(/ +/g, ' ');
    expect(rest).toEqual([]);
    expect(doc).toContain(`| ${row(before)} |`);
    expect(doc).toContain(`| ${row(after)} |`);
  });

  it('says why: committed use, the plan, what no hold covered, what costs nothing', () => {
    const why = (r: UsageRow, promised: Parameters<typeof explainHours>[2] = []) =>
      explainHours([r], new Map([['lease_a', lease]]), promised)[0]?.lines[0]?.why;
    const hour = record({}, MIDNIGHT, MIDNIGHT + HOUR);
    expect(why(hour)).toBe('$2.16 an hour: $2.40 less 10 % for the plan');
    const promised = [{ projectId: null, discountBps: 1_000, startsAt: 0, endsAt: MIDNIGHT }];
    expect(why(hour, promised)).toBe('$2.16 an hour: $2.40 less 10 % for committed use');
    expect(why({ ...hour, leaseId: 'lease_other' })).toBe('$2.16 an hour');
    expect(why({ ...hour, leaseId: null, amountNano: 1n })).toBe('$2.16 an hour; what no hold covered is not charged');
    const counted = { meter: 'output-tokens', unit: 'tokens', unitPriceNano: 0n, amountNano: 0n } as const;
    expect(why({ ...hour, ...counted, source: 'shard' })).toBe('counted; the machine’s time is what is paid');
    expect(why({ ...hour, ...counted, source: '/meter' })).toBe('told by /meter; costs nothing');
    const tokens = { meter: 'output-tokens', unit: 'tokens', source: 'shard', unitPriceNano: usd('0.6') } as const;
    expect(why({ ...hour, ...tokens })).toBe('$0.60 a million, less what is free each month');
    expect(why({ ...hour, ...tokens, amountNano: 0n })).toBe('$0.60 a million; free this month');
    expect(why({ ...hour, ...tokens, meter: 'lines' })).toBe('at least $0.60 a request');
    const kept = { meter: 'storage', source: 'storage', unit: 'MB-hours', unitPriceNano: usd('0.01') } as const;
    expect(why({ ...hour, ...kept })).toBe('$0.01 a GB-hour, beyond what is free each month');
    expect(why({ ...hour, ...kept, meter: 'egress' })).toBe('$0.01 a GB, beyond what is free each month');
    expect(why({ ...hour, ...kept, unitPriceNano: 0n })).toBe('free');
    expect(why({ ...hour, meter: 'commitment', source: 'commitment' })).toMatch('committed use that');
  });

  it('adds up to exactly what was charged, each hour by its time', () => {
    const spec = fc.record({
      from: fc.integer({ min: -3 * HOUR, max: DAY }),
      ms: fc.integer({ min: 0, max: 5 * HOUR }),
      amount: fc.bigInt({ min: 0n, max: 10n ** 13n }),
      meter: fc.constantFrom('lease-time' as const, 'lines' as const),
    });
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 12 }), (specs) => {
        const records = specs.map(({ from, ms, amount, meter }) =>
          record({}, MIDNIGHT + from, MIDNIGHT + from + ms, { amountNano: amount, meter }),
        );
        const hours = explainHours(records, new Map(), []);
        const sum = (of: (line: (typeof hours)[number]['lines'][number]) => bigint): bigint =>
          hours.reduce((n, h) => n + h.lines.reduce((m, l) => m + of(l), 0n), 0n);
        expect(sum((l) => l.amountNano)).toBe(records.reduce((n, r) => n + r.amountNano, 0n));
        expect(hours.reduce((n, h) => n + h.amountNano, 0n)).toBe(sum((l) => l.amountNano));
        expect(sum((l) => l.quantity)).toBe(records.reduce((n, r) => n + r.quantity, 0n));
        expect(hours.map((h) => h.at)).toEqual([...new Set(hours.map((h) => h.at))].sort((a, b) => a - b));
        for (const h of hours) expect(h.at % HOUR).toBe(0);
      }),
    );
  });
});

describe.each(specStores)('the explanation of a day, $name', ({ name, open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, new SeededRandom(`explain ${name}`));
  });
  afterAll(async () => opened.close());

  it('is what usage says of the day, of the caller only, without what a provider is owed', async () => {
    const [tenant, other] = [await till.tenant('0'), await till.tenant('0')];
    await till.tx((tx) =>
      tx.insert(usageRecords, [
        record(tenant, MIDNIGHT - HOUR, MIDNIGHT, { amountNano: 1_000n }),
        record(tenant, MIDNIGHT - HOUR, MIDNIGHT + 1, { amountNano: 100n }),
        record(tenant, MIDNIGHT + HOUR, MIDNIGHT + 3 * HOUR, { amountNano: 31n }),
        record(tenant, MIDNIGHT + DAY - 1, MIDNIGHT + DAY, { amountNano: 5n, projectId: 'prj_second' }),
        record(tenant, MIDNIGHT + DAY, MIDNIGHT + DAY + 1, { amountNano: 10_000n }),
        record(tenant, MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR, { amountNano: 777n, side: 'cost' }),
        record(other, MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR, { amountNano: 888n }),
      ]),
    );
    const as = (projectIds: readonly string[] | 'all') =>
      ({ as: 'tenant', organizationId: tenant.organizationId, projectIds }) as const;
    const explain = (projectIds: readonly string[] | 'all') =>
      opened.store.transaction(as(projectIds), (tx) => explainDay(tx, as(projectIds), MIDNIGHT));
    const day = await explain('all');
    expect(day.hours.map((h) => [(h.at - MIDNIGHT) / HOUR, h.amountNano])).toEqual([
      [-1, 100n],
      [0, 0n],
      [1, 16n],
      [2, 15n],
      [23, 5n],
    ]);
    const said = await till.tx((tx) =>
      usageSums(tx, {
        ...as('all'),
        side: 'charge',
        fromMs: MIDNIGHT,
        toMs: MIDNIGHT + DAY,
        bucket: null,
        groupBy: [],
      }),
    );
    expect([day.chargedNano, day.notes]).toEqual([said.amountNano, []]);
    expect(day.grants).toEqual([]);
    const give = (reference: string, priority: number, expiresAt: number | null, createdAt: number) => {
      const id = newId('grant', createdAt, random);
      const of = { organizationId: tenant.organizationId, amountNano: 10n, spentNano: 0n, returnedNano: 0n };
      return { id, ...of, reference, priority, expiresAt, state: 'open' as const, createdAt };
    };
    await till.tx((tx) =>
      tx.insert(grants, [
        give('lasts', 0, null, MIDNIGHT - DAY),
        give('later', 0, MIDNIGHT + 9 * DAY, MIDNIGHT),
        give('sooner', 0, MIDNIGHT + 1, MIDNIGHT - DAY),
        give('first', -1, null, MIDNIGHT + DAY - 1),
        give('gone', 0, MIDNIGHT, MIDNIGHT - DAY),
        give('not yet', 0, null, MIDNIGHT + DAY),
        { ...give('in vain', 0, MIDNIGHT + 1, MIDNIGHT - DAY), returnedNano: 10n, state: 'expired' },
      ]),
    );
    expect((await explain('all')).grants.map((g) => g.reference)).toEqual(['first', 'sooner', 'later', 'lasts']);
    // Charges of the evening before use up what is first in order and was there; charges of the day itself do not count.
    const credit = account.credit(tenant.organizationId);
    const post = (key: string, kind: string, at: number, amountNano: bigint) =>
      till.tx(async (tx) => {
        await till.ledger.open(tx, [{ id: credit, kind: 'credit', organizationId: tenant.organizationId }]);
        await tx.call(ledgerPost, {
          id: newId('transaction', at, random),
          key: `${name} ${key}`,
          kind,
          organizationId: tenant.organizationId,
          reference: key,
          reverses: null,
          at,
          entries: [
            { accountId: credit, amountNano, from: 'available' },
            { accountId: account.revenue, amountNano: -amountNano, from: 'available' },
          ],
        });
      });
    await post('paid in', 'payment', MIDNIGHT - 9 * DAY, 1_000n);
    await post('before any grant', 'usage', MIDNIGHT - 2 * DAY, -100n);
    await post('evening', 'usage', MIDNIGHT - 1, -30n);
    await post('morning', 'usage', MIDNIGHT, -100n);
    expect((await explain('all')).grants.map((g) => g.reference)).toEqual(['first', 'later', 'lasts']);
    // The three that expire had paid the evening; what is more is paid by 'lasts', up to its last nano-dollar.
    await post('late evening', 'usage', MIDNIGHT - 1, -9n);
    expect((await explain('all')).grants.map((g) => g.reference)).toEqual(['first', 'later', 'lasts']);
    await post('and the rest', 'usage', MIDNIGHT - 1, -1n);
    expect((await explain('all')).grants.map((g) => g.reference)).toEqual(['first', 'later']);
    expect((await explain([tenant.projectId])).grants).toEqual([]);
    expect((await explain(['prj_second'])).chargedNano).toBe(5n);
    expect((await explain([])).hours).toEqual([]);
  });
});
