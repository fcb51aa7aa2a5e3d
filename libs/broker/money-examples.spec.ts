import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { chargeBetween, formatUsd, HOUR, ManualClock, SeededRandom, usd } from '#kernel';
import { priceTermsSchema, type PriceTerms } from '#contracts';
import { MemoryStore, WORKER, type Tx } from '#platform/database';
import { account, Ledger, trialBalance, type Entry } from '#money/ledger';
import { Quotas } from '#money/quotas';
import { resultAccounts, revenueBy } from '#money/margins';
import {
  chargedUntil,
  chargeTerms,
  costTail,
  priceAt,
  priceOf,
  Prices,
  rateTokens,
  shortfall,
  mostForTokens,
  tokenTerms,
} from '#money/rating';
import { mbHours, rateUnits, Storage, storagePrices, type KeptFiles } from '#money/storage';
import {
  defaultTolerance,
  match,
  readVendorInvoice,
  type LeasedMachine,
  type MeteredCost,
  type VendorLine,
} from '#money/vendor-invoices';
import { slaCredit } from '#compute/leases';
import { mostTokens } from '#work/jobs';

/** The examples of docs/billing.md on prices, commitments, margins, the ledger and vendors' invoices: made of what the code answers. */
const file = readFileSync(join(process.cwd(), 'docs/billing.md'), 'utf8');
const doc = file.replace(/\n> ?/g, ' ').replace(/\s+/g, ' ');
const $ = (n: bigint): string => formatUsd(n);
const NOV = Date.UTC(2026, 10, 1);
const DEC = Date.UTC(2026, 11, 1);

/** Rows of the table whose first column has that title. */
function rowsUnder(title: string): string[][] {
  const lines = file.split('\n');
  const from = lines.findIndex((l) => l.startsWith(`| ${title} `));
  const end = lines.findIndex((l, i) => i > from && !l.startsWith('|'));
  return lines.slice(from + 2, end).map((l) =>
    l
      .split('|')
      .slice(1, -1)
      .map((c) => c.trim()),
  );
}

const terms = (of: Partial<PriceTerms>): PriceTerms => priceTermsSchema.parse(of);
const tenant = { priceClass: 'hyperscaler', providerMarginBps: 0, plan: 'startup', commitmentBps: 0 } as const;

describe('docs/billing.md on prices', () => {
  const plans = { startup: { discountBps: 500 } };
  const book = [
    { version: 1, effectiveAt: NOV, terms: terms({ marginBps: { hyperscaler: 1_000 }, plans }) },
    { version: 2, effectiveAt: DEC, terms: terms({ marginBps: { hyperscaler: 2_000 }, plans }) },
  ];
  const price = (at: number, plan: string | null) =>
    priceOf(usd('2'), chargeTerms(priceAt(book, at), { ...tenant, plan }));

  it('margin, plan, and what a lease keeps', () => {
    const [plain, planned, later] = [price(NOV, null), price(NOV, 'startup'), price(DEC, 'startup')];
    expect(doc).toContain(
      `A machine for $2.00 an hour costs ${$(plain)} with a margin of 10 %, and ${$(planned)} on a plan with 5 % off. If the margin becomes 20 % while it runs, it still costs ${$(planned)}; the next machine costs ${$(later)}.`,
    );
  });

  it('what a quote locks', () => {
    const at = priceOf(usd('2'), chargeTerms(book[0] ?? null, { ...tenant, plan: null }));
    const quoted = { quoteId: 'qt_doc', perHour: String(at) };
    const charged = priceOf(usd('2.5'), { marginBps: 1_000, discountBps: 0, quoted });
    expect(doc).toContain(
      `A machine for $2.00 an hour is quoted at ${$(at)} with a margin of 10 %. The vendor then asks $2.50: the lease is charged ${$(charged)} an hour and costs $2.50, a margin of ${$(charged - usd('2.5'))} an hour.`,
    );
  });

  it('the least time of a lease', () => {
    const until = chargedUntil(NOV, NOV + 20_000, { leaseMinimumMs: 60_000 });
    const charge = chargeBetween(usd('2.2'), NOV, NOV, until);
    expect(doc).toContain(`a machine at $2.20 an hour that is let go after 20 s is charged ${$(charge)}.`);
  });

  it('the vendor’s increments', () => {
    const end = NOV + 61 * 60_000;
    const { usedNano, tailNano } = costTail(usd('2'), NOV, end, { minimumS: 0, incrementS: 3_600 });
    const charge = chargeBetween(usd('2.2'), NOV, NOV, end);
    expect(doc).toContain(
      `ran 61 minutes costs ${$(usedNano + tailNano)} at a vendor who bills whole hours; its tenant, at $2.20 an hour, is charged ${$(charge)}. The margin of that lease is ${$(charge - usedNano - tailNano)}.`,
    );
  });

  it('what a lost machine brings back', () => {
    expect(doc).toContain(
      `With an SLA credit of 25 %, a lease that was charged $8.00 brings back ${$(slaCredit(usd('8'), 2_500))}.`,
    );
  });

  it('tokens', () => {
    const t = terms({
      tokens: { m: { input: String(usd('0.2')), cached: '0', output: String(usd('0.6')) } },
      free: { input: '1000' },
    });
    const none = { input: 0n, cached: 0n, output: 0n };
    const rated = rateTokens(t, 'm', { input: 5_000n, cached: 0n, output: 2_000n }, { used: none, paid: none });
    expect(doc).toContain(`5,000 input and 2,000 output tokens cost ${$(rated?.amountNano ?? 0n)}.`);
  });

  it('what a line holds and is charged by tokens', () => {
    const price = { input: String(usd('0.2')), cached: '0', output: String(usd('0.6')) };
    const book = { version: 1, terms: terms({ tokens: { m: price } }) };
    const own = tokenTerms(book, 'm', { plan: null, commitmentBps: 0 });
    if (!own) throw new Error('the book has a price');
    const body = { model: 'm', messages: [{ role: 'user' as const, content: 'x'.repeat(1_000) }], max_tokens: 500 };
    const most = mostTokens({ custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body });
    const held = mostForTokens(own, 'm', { input: BigInt(most.input), output: BigInt(most.output), requests: 1n });
    const none = { input: 0n, cached: 0n, output: 0n };
    const rated = rateTokens(own, 'm', { input: 220n, cached: 0n, output: 400n }, { used: none, paid: none });
    expect(doc).toContain(
      `with \`max_tokens\` 500 holds ${$(held)}. It used 220 and 400 tokens: ${$(rated?.amountNano ?? 0n)} are charged`,
    );
  });

  it('the best discount', () => {
    const best = chargeTerms(book[0] ?? null, { ...tenant, commitmentBps: 1_200 });
    expect(doc).toContain(`a price of $2.20 becomes ${$(priceOf(usd('2'), best))}.`);
  });
});

describe('docs/billing.md on files', () => {
  const none = { freeUsed: 0n, paid: 0n };
  const GB = 1_000_000_000n;
  const priced = (storage: object) => storagePrices(priceTermsSchema.parse({ storage }));

  it('kept and read', () => {
    const { kept } = priced({ gbHour: String(usd('0.00004')), freeGbHours: '720' });
    const quantity = mbHours(5n * GB * BigInt(30 * 24 * HOUR));
    expect(doc).toContain(
      `5 GB that are kept for 30 days are ${quantity / 1_000n} GB-hours and cost ${$(rateUnits(kept, quantity, none).amountNano)}.`,
    );
    const { sent } = priced({ egressGb: String(usd('0.05')), freeEgressGb: '10' });
    const { amountNano } = rateUnits(sent, (125n * GB) / 10n, none);
    expect(doc).toContain(`At $0.05 a GB with 10 GB free each month, reading 12.5 GB costs ${$(amountNano)}.`);
  });

  it('on a plan', () => {
    const storage = { gbHour: String(usd('0.00004')), egressGb: String(usd('0.05')) };
    const { kept, sent } = storagePrices(priceTermsSchema.parse({ storage }), 1_000);
    expect(doc).toContain(`With 10 % off, a GB-hour costs ${$(kept.perGb)} and a GB that is read ${$(sent.perGb)}.`);
  });

  it('without enough credit', async () => {
    const clock = new ManualClock(NOV);
    const store = new MemoryStore(clock);
    const random = new SeededRandom('files');
    const ledger = new Ledger(clock, random);
    const prices = new Prices(clock, random);
    const files: KeptFiles = {
      owners: (_, { after }) => Promise.resolve(after < 'org_doc' ? ['org_doc'] : []),
      since: () => Promise.resolve(new Map([['org_doc', NOV]])),
      byteMs: (_, __, untilMs) => Promise.resolve(new Map([['prj_doc', 4n * GB * BigInt(untilMs - NOV)]])),
    };
    const storage = new Storage({ store, ledger, prices, quotas: new Quotas(clock, random), files, clock, random });
    await store.transaction(WORKER, async (t) => {
      await ledger.openOwn(t);
      await ledger.credit(t, 'org_doc', usd('0.05'), 'payment', 'doc');
      await prices.publish(t, { terms: priceTermsSchema.parse({ storage: { gbHour: String(usd('0.01')) } }) });
    });
    await storage.open();
    clock.advance(5 * HOUR);
    const hours: string[] = [];
    while ((await storage.step('org_doc')) === 'again') hours.push('charged');
    const { availableNano } = await store.transaction(WORKER, (t) => ledger.creditOf(t, 'org_doc'));
    expect(hours).toHaveLength(1);
    expect(doc).toContain(
      `With $0.05 of credit, 4 GB at $0.01 a GB-hour are charged for one hour, and the next hour waits with ${$(availableNano)} left.`,
    );
  });
});

describe('docs/billing.md on commitments', () => {
  it('by the hour', () => {
    const spent = ['12', '7'].map((d, h) => ({
      fromAt: NOV + h * HOUR,
      toAt: NOV + (h + 1) * HOUR,
      amountNano: usd(d),
    }));
    const of = { per: 'hour', amountNano: usd('10'), discountBps: 0, startsAt: NOV, endsAt: NOV + 3 * HOUR } as const;
    const missing = shortfall(of, { fromMs: NOV, toMs: NOV + 3 * HOUR, lengthMs: DEC - NOV }, spent);
    expect(doc).toContain(`with $12.00, $7.00 and nothing spent in three hours, ${$(missing)} are missing.`);
  });

  it('by the month', () => {
    const startsAt = Date.UTC(2026, 10, 16);
    const of = { per: 'month', amountNano: usd('5000'), discountBps: 0, startsAt, endsAt: DEC } as const;
    const period = { fromMs: startsAt, toMs: DEC, lengthMs: DEC - NOV };
    const spent = [{ fromAt: startsAt, toAt: startsAt + HOUR, amountNano: usd('2100') }];
    expect(doc).toContain(
      `16 November to 1 December promises ${$(shortfall(of, period, []))}; with $2,100.00 spent, ${$(shortfall(of, period, spent))} are missing.`,
    );
  });
});

describe('docs/billing.md on the books', () => {
  const books = async () => {
    const clock = new ManualClock(NOV);
    const store = new MemoryStore(clock);
    const ledger = new Ledger(clock, new SeededRandom('doc'));
    const tx = <T>(work: (t: Tx) => Promise<T>): Promise<T> => store.transaction(WORKER, work);
    const [credit, payable] = [account.credit('org_doc'), account.payable('prv_doc')];
    await tx(async (t) => {
      await ledger.openOwn(t);
      await ledger.open(t, [{ id: payable, kind: 'payable', organizationId: null }]);
      await ledger.credit(t, 'org_doc', usd('100'), 'payment', 'doc');
    });
    let n = 0;
    const post = (entries: readonly Entry[]) =>
      tx((t) =>
        ledger.post(t, {
          idempotencyKey: `doc:${++n}`,
          kind: 'usage',
          organizationId: null,
          reference: 'doc',
          entries,
        }),
      );
    return { clock, tx, post, credit, payable };
  };
  const entry = (accountId: string, dollars: string): Entry => ({
    accountId,
    amountNano: dollars.startsWith('-') ? -usd(dollars.slice(1)) : usd(dollars),
  });

  it('what is booked and where it stands in the report', async () => {
    const { clock, tx, post, credit, payable } = await books();
    const { revenue, exposure, failedStarts, sla, tax, vendorDifferences } = account;
    const booked: Entry[][][] = [
      [[entry(credit, '-5'), entry(payable, '4'), entry(revenue, '2'), entry(exposure, '-1')]],
      [
        [entry(payable, '0.5'), entry(revenue, '-0.5')],
        [entry(failedStarts, '-0.5'), entry(revenue, '0.5')],
      ],
      [[entry(sla, '-0.25'), entry(credit, '0.25')]],
      [[entry(revenue, '-1'), entry(tax, '-0.19'), entry(credit, '1.19')]],
      [[entry(payable, '-0.2'), entry(vendorDifferences, '0.2')]],
    ];
    const rows = rowsUnder('booked');
    expect(rows).toHaveLength(booked.length);
    let margin = 0n;
    for (const [i, transactions] of booked.entries()) {
      clock.advance(HOUR);
      for (const entries of transactions) await post(entries);
      const [row] = await tx((t) => revenueBy(t, { fromMs: clock.now(), toMs: clock.now() + 1, by: 'day' }));
      if (!row) throw new Error('nothing was booked');
      margin += row.marginNano;
      const { revenueNano, costNano, exposureNano, slaCreditsNano, marginNano } = row;
      const shown = [revenueNano, costNano, exposureNano, slaCreditsNano, marginNano].map($);
      expect(rows[i]?.slice(1)).toEqual(shown);
    }
    const balances = await tx((t) => trialBalance(t, null));
    expect(balances.reduce((a, r) => (resultAccounts.some((k) => k === r.kind) ? a + r.balanceNano : a), 0n)).toBe(
      margin,
    );
  });

  it('the entries of an hour', async () => {
    const { tx, post, credit, payable } = await books();
    const before = await tx((t) => trialBalance(t, null));
    await post([entry(credit, '-2.2'), entry(payable, '2'), entry(account.revenue, '0.2')]);
    const now = await tx((t) => trialBalance(t, null));
    const moved = (id: string): bigint => {
      const of = (rows: typeof now): bigint => rows.find((r) => r.accountId === id)?.balanceNano ?? 0n;
      return of(now) - of(before);
    };
    const sum = now.reduce((a, r) => a + r.balanceNano, 0n);
    expect(rowsUnder('an hour at $2.20 that costs $2.00').map((r) => r[1])).toEqual(
      [moved(credit), moved(payable), moved(account.revenue), sum].map($),
    );
  });
});

describe('docs/billing.md on vendors’ invoices', () => {
  it('the plain CSV', async () => {
    const csv = /```csv\n([\s\S]*?)```/.exec(file)?.[1] ?? '';
    async function* bytes() {
      yield await Promise.resolve(Buffer.from(csv));
    }
    const { lines } = await readVendorInvoice(bytes(), { format: 'csv', badLines: 'stop' });
    expect(lines.map((l) => [l.machineIds[0], l.key, l.fromMs, l.statedMs, l.amountNano])).toEqual([
      ['gpu-17', '1001', NOV, 2 * HOUR, usd('4')],
      ['gpu-18', '1002', NOV, 3 * HOUR, usd('6')],
    ]);
  });

  it('what is a difference, and what accepting them does', () => {
    const { amountNano, ms, bps } = defaultTolerance;
    expect(doc).toContain(
      `may be apart by ${$(amountNano)} or ${bps / 100} %, and by ${ms / 1_000} s or ${bps / 100} %`,
    );
    const rows = rowsUnder('metered');
    const [machines, costs, lines]: [LeasedMachine[], MeteredCost[], VendorLine[]] = [[], [], []];
    const read = (cell: string) => {
      const [, hours = '0', dollars = '0'] = /^(\d+) h, \$([\d.]+)$/.exec(cell) ?? [];
      return { ms: Number(hours) * HOUR, amountNano: usd(dollars), none: cell === 'nothing' };
    };
    rows.forEach(([metered = '', billed = ''], i) => {
      const [ours, theirs] = [read(metered), read(billed)];
      const [machineId, leaseId, fromMs] = [`m${i}`, `lease_${i}`, NOV + i];
      if (!ours.none) {
        machines.push({ leaseId, machineId, fromMs, toMs: fromMs + ours.ms });
        costs.push({ leaseId, amountNano: ours.amountNano, ms: ours.ms, fromMs, toMs: fromMs + ours.ms });
      }
      const line = { n: i + 2, key: machineId, digest: '', machineIds: [machineId], what: '', fromMs };
      if (!theirs.none)
        lines.push({ ...line, toMs: fromMs + theirs.ms, amountNano: theirs.amountNano, statedMs: theirs.ms });
    });
    const found = match(lines, machines, costs, defaultTolerance);
    expect(found.comparisons.map((c) => c.kind)).toEqual(rows.map((r) => r[2]));
    expect(doc).toContain(
      `These four bills come to ${$(found.totalNano)}: ${$(found.matchedNano)} for leases and ${$(found.onlyAtVendorNano)} for machines that no lease had. ${$(found.meteredNano)} were metered.`,
    );
    expect(doc).toContain(
      `Accepting all of them changes what the provider is owed by ${$(found.totalNano - found.meteredNano)}.`,
    );
  });
});
