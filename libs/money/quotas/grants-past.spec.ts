import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { newId, SeededRandom } from '#kernel';
import { account, ledgerPost } from '#money/ledger';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { grantsFold, type GrantRow } from './grants.table.js';
import { grants, grantsLeftAt } from './index.js';
import { leftAfter, type GrantMoment } from './grants-past.js';

const START = Date.UTC(2025, 5, 1);
const one = (id: string, amountNano: bigint, priority = 0, expiresAt: number | null = null) => ({
  id,
  amountNano,
  priority,
  expiresAt,
});

describe('what grants had left', () => {
  it('is what the charges since they came in, and what was given back, did not take, in their order', () => {
    const left = (...moments: GrantMoment[]) => Object.fromEntries(leftAfter(moments));
    const first = { given: [one('b', 5n), one('c', 5n, -1)], returned: [], chargedNano: 7n };
    expect(left(first)).toEqual({ b: 3n, c: 0n });
    expect(left(first, { given: [one('a', 4n, 0, 9)], returned: [], chargedNano: 5n })).toEqual({
      a: 0n,
      b: 2n,
      c: 0n,
    });
    const back = { given: [], returned: [{ id: 'b', amountNano: 2n }], chargedNano: 9n };
    expect(left(first, back)).toEqual({ b: 0n, c: 0n });
    expect(left({ ...first, chargedNano: 99n }, { ...first, given: [one('late', 1n)], chargedNano: 0n })).toEqual({
      b: 0n,
      c: 0n,
      late: 1n,
    });
  });

  it('does not depend on where charges are cut', () => {
    const grant = fc.record({ amount: fc.bigInt(0n, 20n), priority: fc.integer({ min: 0, max: 2 }) });
    fc.assert(
      fc.property(fc.array(grant, { maxLength: 5 }), fc.array(fc.bigInt(0n, 15n), { maxLength: 5 }), (gs, charges) => {
        const given = gs.map((g, i) => one(`g${i}`, g.amount, g.priority));
        const cut = charges.map((chargedNano) => ({ given: [], returned: [], chargedNano }));
        const whole = charges.reduce((a, b) => a + b, 0n);
        const left = leftAfter([{ given, returned: [], chargedNano: 0n }, ...cut]);
        expect(left).toEqual(leftAfter([{ given, returned: [], chargedNano: whole }]));
        const all = given.reduce((n, g) => n + g.amountNano, 0n);
        expect([...left.values()].reduce((a, b) => a + b, 0n)).toBe(all > whole ? all - whole : 0n);
      }),
    );
  });
});

describe.each(specStores)('the past of grants, $name', ({ name, open }) => {
  const random = new SeededRandom(`past grants ${name}`);
  let opened: SpecStore;
  let till: Till;
  let organizationId: string;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, random);
    ({ organizationId } = await till.tenant('0'));
    await till.tx((tx) =>
      till.ledger.open(tx, [{ id: account.credit(organizationId), kind: 'credit', organizationId }]),
    );
  });
  afterAll(async () => opened.close());

  const post = (kind: string, reference: string, ms: number, amountNano: bigint, against: string = account.revenue) =>
    till.tx(async (tx) => {
      const id = newId('transaction', START + ms, random);
      await tx.call(ledgerPost, {
        ...{ id, key: id, kind, organizationId, reference, reverses: null, at: START + ms },
        entries: [
          { accountId: account.credit(organizationId), amountNano, from: 'available' },
          { accountId: against, amountNano: -amountNano, from: 'available' },
        ],
      });
    });
  async function give(reference: string, ms: number, amountNano: bigint): Promise<GrantRow> {
    const createdAt = START + ms;
    const id = newId('grant', createdAt, random);
    const of = { organizationId, spentNano: 0n, returnedNano: 0n, priority: 0, expiresAt: null };
    const row = { ...of, id, reference, amountNano, state: 'open' as const, createdAt };
    await till.tx((tx) => tx.insert(grants, [row]));
    await post('promotion', id, ms, amountNano, account.promotions);
    return row;
  }

  it('is told by the ledger, whenever somebody looked at them', async () => {
    await post('payment', 'paid in', 0, 1_000n, account.cash);
    await post('usage', 'before', 5, -50n);
    const first = await give('first', 10, 30n);
    await post('usage', 'a', 10, -1n);
    await post('usage', 'b', 20, -4n);
    const second = await give('second', 30, 20n);
    await post('usage', 'c', 40, -10n);
    await post('promotion-expiry', first.id, 50, -15n, account.promotions);
    await post('usage', 'd', 60, -12n);
    await post('sla-credit', 'no charge', 70, 7n, account.sla);
    const at = (ms: number) =>
      till.tx(async (tx) => {
        const left = await grantsLeftAt(tx, organizationId, START + ms);
        return [first, second].map((g) => left.get(g.id));
      });
    const told = async () => Promise.all([10, 11, 20, 21, 31, 41, 50, 51, 60, 61, 99].map(at));
    const expected = [
      [undefined, undefined],
      [29n, undefined],
      [29n, undefined],
      [25n, undefined],
      [25n, 20n],
      [15n, 20n],
      [15n, 20n],
      [0n, 20n],
      [0n, 20n],
      [0n, 8n],
      [0n, 8n],
    ];
    expect(await told()).toEqual(expected);
    await till.tx((tx) => tx.call(grantsFold, { organizationId }));
    expect(await told()).toEqual(expected);
  });
});
