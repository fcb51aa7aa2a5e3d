import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DomainError } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { account, Sealer, trialBalance } from './index.js';

/** What may happen to the books. Indexes are taken modulo what there is. */
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('post' as const),
      legs: fc.array(fc.record({ to: fc.nat(9), amount: fc.bigInt({ min: -40n, max: 60n }) }), {
        minLength: 1,
        maxLength: 4,
      }),
      key: fc.nat(30),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('reverse' as const), which: fc.nat(40) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('seal' as const), perLink: fc.integer({ min: 1, max: 5 }) }) },
);

interface Posted {
  readonly id: string;
  readonly entries: readonly { accountId: string; amountNano: bigint }[];
  readonly isReversal: boolean;
  reversedBy: string | null;
}

describe.each(specStores)('any history of postings, reversals and seals $name', ({ name, open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
  });
  afterAll(async () => opened.close());

  let runs = 0;
  const runsOf = { 'in memory': 60, PostgreSQL: 12 }[name];

  it('is what plain arithmetic says', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const run = runs++;
        const tenants = await Promise.all([till.tenant('0'), till.tenant('0')]);
        const bounded = tenants.map((t) => account.credit(t.organizationId));
        await till.tx((tx) =>
          till.ledger.open(
            tx,
            tenants.map((t) => ({
              id: account.credit(t.organizationId),
              kind: 'credit' as const,
              organizationId: t.organizationId,
            })),
          ),
        );
        const provider = account.payable(await till.provider());
        const ids = [...bounded, provider, account.revenue, account.cash];
        const before = new Map(
          (await till.tx((tx) => trialBalance(tx, null))).map((r) => [r.accountId, r.balanceNano]),
        );
        const model = new Map(before);
        const posted: Posted[] = [];
        const known = new Set<string>();
        const fits = (entries: Posted['entries']): boolean =>
          // Entry by entry in the order of accounts, as the rows are moved: a debit must find what it takes.
          entries
            .toSorted((a, b) => (a.accountId < b.accountId ? -1 : 1))
            .reduce(
              ({ ok, left }, e) => {
                const now = left.get(e.accountId) ?? model.get(e.accountId) ?? 0n;
                const enough = !bounded.includes(e.accountId) || e.amountNano >= 0n || now + e.amountNano >= 0n;
                return { ok: ok && enough, left: left.set(e.accountId, now + e.amountNano) };
              },
              { ok: true, left: new Map<string, bigint>() },
            ).ok;
        const apply = (entries: Posted['entries']): void => {
          for (const e of entries) model.set(e.accountId, (model.get(e.accountId) ?? 0n) + e.amountNano);
        };
        for (const s of steps) {
          if (s.do === 'seal') {
            await new Sealer(till.store, s.perLink).run();
            continue;
          }
          if (s.do === 'post') {
            const legs = s.legs.map((l) => ({ accountId: ids[l.to % ids.length] ?? '', amountNano: l.amount }));
            const rest = legs.reduce((a, l) => a - l.amountNano, 0n);
            const list = [...legs, { accountId: account.clearing, amountNano: rest }].filter(
              (e) => e.amountNano !== 0n,
            );
            const key = `run ${run} key ${s.key}`;
            const want = known.has(key) ? 'known' : fits(list) ? 'posted' : 'short';
            const got = await till
              .tx((tx) =>
                till.ledger.post(tx, {
                  idempotencyKey: key,
                  kind: 'test',
                  organizationId: null,
                  reference: 'history',
                  entries: list,
                }),
              )
              .catch((error: unknown) => error);
            expect(got instanceof DomainError ? 'short' : got === null ? 'known' : 'posted').toBe(want);
            if (want !== 'posted') continue;
            known.add(key);
            apply(list);
            posted.push({ id: String(got), entries: list, isReversal: false, reversedBy: null });
            continue;
          }
          const target = posted[s.which % Math.max(1, posted.length)];
          if (!target) continue;
          const mirror = target.entries.map((e) => ({ ...e, amountNano: -e.amountNano }));
          const want = target.isReversal ? 'conflict' : target.reversedBy || fits(mirror) ? 'ok' : 'payment-required';
          const got = await till
            .tx((tx) => till.ledger.reverse(tx, target.id, 'history'))
            .catch((error: unknown) => error);
          expect(got instanceof DomainError ? got.kind : 'ok').toBe(want);
          if (want !== 'ok') continue;
          const { id, again } = got as { id: string; again: boolean };
          expect(again).toBe(target.reversedBy !== null);
          if (target.reversedBy !== null) expect(id).toBe(target.reversedBy);
          else {
            apply(mirror);
            posted.push({ id, entries: mirror, isReversal: true, reversedBy: null });
            target.reversedBy = id;
          }
        }
        const after = await till.tx((tx) => trialBalance(tx, null));
        for (const row of after)
          expect([row.accountId, row.balanceNano]).toEqual([row.accountId, model.get(row.accountId) ?? 0n]);
        expect(after.reduce((a, r) => a + r.balanceNano, 0n)).toBe(0n);
      }),
      { numRuns: runsOf },
    );
    // The books of all runs together.
    await till.audit();
    await till.sealer.run();
    await till.audit();
    let page = await till.sealer.verify(0, 50);
    while (!page.done) page = await till.sealer.verify(page.through, 50);
    expect(page).toMatchObject({ broken: null, rest: { unsealed: 0, lost: 0, wrongAccounts: [] } });
  });
});
