import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { formatUsd, ManualClock, SeededRandom, usd } from '#kernel';
import { MemoryStore, WORKER, type Tx } from '#platform/database';
import { account, Ledger } from '#money/ledger';
import { Credit, creditRoom, Holds, Quotas, renewalOf, roomOf } from '#money/quotas';
import { costTail } from '#money/rating';
import { burn, defaultLeaseTimes as times, graceUntil, renewalFor } from './index.js';

/** The examples of docs/billing.md on holds and quotas: each sentence is made of what the code answers. */
const doc = readFileSync(join(process.cwd(), 'docs/billing.md'), 'utf8').replace(/\n> ?/g, ' ').replace(/\s+/g, ' ');
const rate = usd('3.60');
const dollars = (n: bigint): string => formatUsd(n);

function money() {
  const clock = new ManualClock(Date.UTC(2026, 10, 21));
  const store = new MemoryStore(clock);
  const random = new SeededRandom('doc');
  const ledger = new Ledger(clock, random);
  const tenant = { organizationId: 'org_doc', projectId: 'prj_doc' };
  const holds = new Holds(ledger, clock, random);
  const tx = <T>(work: (t: Tx) => Promise<T>): Promise<T> => store.transaction(WORKER, work);
  const spend = (id: string, amountNano: bigint) =>
    tx(async (t) => {
      await holds.spend(t, id, amountNano);
      await ledger.post(t, {
        idempotencyKey: `spend:${id}`,
        kind: 'usage',
        organizationId: tenant.organizationId,
        reference: id,
        entries: [
          { accountId: account.credit(tenant.organizationId), amountNano: -amountNano, from: 'held' },
          { accountId: account.revenue, amountNano },
        ],
      });
      await holds.settle(t, id);
    });
  return {
    tx,
    ledger,
    holds,
    spend,
    tenant,
    quotas: new Quotas(clock, random),
    credit: new Credit(store, ledger, random),
    give: (text: string) =>
      tx(async (t) => {
        await ledger.openOwn(t);
        await ledger.credit(t, tenant.organizationId, usd(text), 'payment', 'doc');
      }),
    available: async () => (await tx((t) => ledger.creditOf(t, tenant.organizationId))).availableNano,
    take: (text: string) => tx((t) => holds.take(t, { ...tenant, amountNano: usd(text) })),
  };
}

describe('docs/billing.md', () => {
  it('what is held and what comes back', async () => {
    const m = money();
    await m.give('25');
    const hold = await m.take('10');
    const left = await m.available();
    await m.spend(hold.id, usd('2.40'));
    expect(doc).toContain(
      `With $25.00 of credit, a job with \`maxCost\` $10.00 leaves ${dollars(left)} available. It costs $2.40: ${dollars(await m.available())} are available when it has ended.`,
    );
  });

  it('what a vendor bills beyond the use', () => {
    const { usedNano, tailNano } = costTail(rate, 0, 90_000, { minimumS: 60, incrementS: 60 });
    expect(doc).toContain(
      `At $3.60 an hour of a vendor that bills whole minutes, 90 s of use cost the broker ${dollars(usedNano)}, and the rest of the second minute ${dollars(tailNano)}.`,
    );
  });

  it('what many jobs hold together', async () => {
    const m = money();
    await m.give('25');
    const jobs = Array.from({ length: 40 }, (_, i) => ({ jobId: `job_${i}`, amountNano: usd('0.50') }));
    const [first] = await m.tx((t) => m.holds.takeShared(t, m.tenant, jobs));
    const left = await m.available();
    await m.spend(first?.id ?? '', usd('0.20'));
    expect(doc).toContain(
      `With $25.00 of credit, 40 jobs with \`maxCost\` $0.50 leave ${dollars(left)} available. One that costs $0.20 gives ${dollars((await m.available()) - left)} back when it has ended.`,
    );
  });

  it('what a running machine holds, when its grace begins, and what an outage may cost', () => {
    const running = { chargePerHour: rate, chargedThrough: 0 };
    const ahead = renewalOf(0n, renewalFor(running, 0, times));
    expect(doc).toContain(`At $3.60 an hour a lease holds ${dollars(ahead)} ahead of its time.`);
    const least = burn(rate, times.graceMs + times.meterEveryMs);
    const lease = { chargePerHour: rate, graceUntil: null };
    expect([graceUntil(lease, least, 0, times), graceUntil(lease, least - 10_000n, 0, times)]).toEqual([null, 120_000]);
    expect(doc).toContain(`the grace begins with less than ${dollars(least)} left.`);
    const late = renewalOf(0n, renewalFor(running, 7 * 24 * 3_600_000, times));
    expect(doc).toContain(
      `At $3.60 an hour that is at most ${dollars(late)} beyond the hold, however long the outage was.`,
    );
    expect(doc).toContain(`one grace at most (${(times.renewEveryMs + times.graceMs) / 1_000} s)`);
  });

  it('how far below zero a tenant may go', async () => {
    const m = money();
    const limit = (text: string) => m.tx((t) => m.credit.setLimit(t, m.tenant.organizationId, usd(text)));
    await m.give('1');
    await limit('5');
    const hold = await m.take('6');
    await expect(m.take('0.01')).rejects.toMatchObject({ code: 'insufficient-credit' });
    await limit('2');
    await expect(m.take('0.01')).rejects.toMatchObject({ code: 'insufficient-credit' });
    await m.tx((t) => m.holds.settle(t, hold.id));
    await m.take('3');
    expect(await m.available()).toBe(-usd('2'));
    expect(doc).toContain('With $1.00 of credit and a credit limit of $5.00, $6.00 can be held, and not a cent more.');
  });

  it('what an unpaid invoice leaves of a credit limit', async () => {
    const limit = { availableNano: 0n, creditLimitNano: usd('5') };
    expect(doc).toContain(
      `With a credit limit of $5.00, an unpaid invoice over $3.00 leaves ${dollars(creditRoom(limit, -usd('3')))} to be held.`,
    );
  });

  it('what a budget counts', async () => {
    const m = money();
    await m.give('100');
    const { organizationId } = m.tenant;
    const { quota } = await m.tx((t) =>
      m.quotas.set(t, {
        organizationId,
        projectId: null,
        scope: 'organization',
        scopeId: organizationId,
        dimension: 'spend',
        per: 'month',
        limitN: usd('10'),
        mode: 'hard',
        policy: 'keep',
        cohort: null,
        borrowingLimit: null,
        lendingLimit: null,
      }),
    );
    const left = async () => {
      const [row] = await m.tx((t) => m.quotas.list(t, organizationId));
      return quota.limitN - (row?.used ?? 0n);
    };
    const hold = await m.take('8');
    const during = await left();
    await m.spend(hold.id, usd('5'));
    expect(doc).toContain(
      `Of a budget of $10.00 a month, a hold of $8.00 leaves ${dollars(during)}. When it has spent $5.00 and ended, ${dollars(await left())} are left.`,
    );
  });

  it('what a cohort lends', () => {
    const first = { limitN: 8n, used: 0n, borrowingLimit: 6n, lendingLimit: null };
    const second = { limitN: 8n, used: 0n, borrowingLimit: null, lendingLimit: 5n };
    const most = roomOf(first, [first, second]);
    const full = { ...first, used: most };
    expect(doc).toContain(
      `the first may borrow 6, the second lends at most 5: the first may use ${most}, and ${roomOf(second, [full, second])} stay for the second.`,
    );
  });
});
