import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, HOUR, newId, SeededRandom, usd } from '#kernel';
import { auditLog } from '#identity/audit';
import { account, balancesBefore, entries } from '#money/ledger';
import { monthStart } from '#money/metering';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { comparisonKinds, vendorComparisons, VendorInvoices, type LeasedMachine } from './index.js';

const by = { keyId: newId('key'), organizationId: newId('organization'), requestId: 'req_spec', address: null };
const HEADING = 'machine_id,from,to,amount_usd,line_id';
const ALL = { limit: 100 };

describe.each(specStores)('vendor invoices, $name', ({ open }) => {
  let spec: SpecStore;
  let till: Till;
  let rooms: VendorInvoices;
  let machines: LeasedMachine[];
  let providerId: string;
  let tenant: Tenant;
  /** The first instant of a month that is over. */
  let start: number;
  beforeAll(async () => {
    spec = await open();
    till = await openTill(spec);
    start = monthStart(monthStart(spec.clock.now()) - 1);
    const among = (of: (m: LeasedMachine) => boolean) => Promise.resolve(machines.filter(of));
    rooms = new VendorInvoices({
      store: spec.store,
      ledger: till.ledger,
      clock: spec.clock,
      random: new SeededRandom('vendor invoices'),
      machines: {
        ofMachines: (_, provider, ids) => among((m) => provider === providerId && ids.includes(m.machineId)),
        ofLeases: (_, ids) => among((m) => ids.includes(m.leaseId)),
      },
    });
  });
  afterAll(() => spec.close());

  /** A new provider with nothing at it. */
  const begin = async (): Promise<void> => {
    providerId = await till.provider();
    tenant = await till.tenant('100');
    machines = [];
  };
  let leases = 0;
  /** A lease that cost $2 an hour and was charged at $3. */
  const ran = async (machineId: string, fromH: number, toH: number): Promise<string> => {
    const leaseId = `lease_${++leases}`;
    const [fromMs, toMs] = [start + fromH * HOUR, start + toH * HOUR];
    machines.push({ leaseId, machineId, fromMs, toMs });
    const side = (perHour: bigint) => ({ perHour, startMs: fromMs, fromMs, toMs });
    await till.tx(async (tx) => {
      const hold = await till.holds.take(tx, { ...tenant, amountNano: usd('3') * BigInt(toH - fromH) });
      const of = { leaseId, ...tenant, jobId: null, providerId, holdId: hold.id, resource: 'H100 x 1' };
      await till.metering.leaseTime(tx, { ...of, charge: side(usd('3')), cost: side(usd('2')) }, true);
    });
    return leaseId;
  };
  let ids = 0;
  const billed = (machine: string, fromH: number, toH: number, amount: string, id = `L${++ids}`): string => {
    const time = (h: number): string => new Date(start + h * HOUR).toISOString();
    return `${machine},${time(fromH)},${time(toH)},${amount},${id}`;
  };
  async function* bytes(lines: readonly string[]): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(Buffer.from([HEADING, ...lines, ''].join('\n')));
  }
  const bring = (lines: readonly string[], over: Partial<Parameters<VendorInvoices['import']>[0]> = {}) =>
    rooms.import(
      { providerId, format: 'csv', fileName: 'bill.csv', bytes: bytes(lines), badLines: 'stop', ...over },
      by,
    );
  const compared = async (id: string) =>
    (await rooms.comparisons(id, comparisonKinds, ALL)).map((c) => [c.kind, c.leaseId, c.vendorNano, c.oursNano]);
  const balance = async (id: string): Promise<bigint> =>
    (await till.tx((tx) => balancesBefore(tx, null, [id]))).get(id) ?? 0n;

  /** One lease of each kind, and a stray machine. */
  const month = async () => {
    await begin();
    const names = ['ok', 'dear', 'long', 'lost'] as const;
    const of = {} as Record<(typeof names)[number], string>;
    for (const [i, name] of names.entries()) of[name] = await ran(`m-${name}`, i * 4, i * 4 + 2);
    const lines = [
      billed('m-ok', 0, 2, '4'),
      billed('m-dear', 4, 6, '5'),
      billed('m-long', 8, 11, '6'),
      billed('stray', 20, 21, '2.5'),
    ];
    return { of, lines };
  };

  it('are compared lease by lease, and their sums are exact', async () => {
    const { of, lines } = await month();
    const { invoice } = await bring(lines);
    expect(await compared(invoice.id)).toEqual([
      ['agreed', of.ok, usd('4'), usd('4')],
      ['amount', of.dear, usd('5'), usd('4')],
      ['duration', of.long, usd('6'), usd('4')],
      ['only-ours', of.lost, 0n, usd('4')],
      ['only-at-vendor', null, usd('2.5'), 0n],
    ]);
    expect(invoice).toMatchObject({
      periodFrom: start,
      periodTo: start + DAY,
      lines: 4,
      totalNano: usd('17.5'),
      matchedNano: usd('15'),
      onlyAtVendorNano: usd('2.5'),
      meteredNano: usd('16'),
    });
    const pages = [];
    for (let after: unknown[] | undefined; ;) {
      const [row] = await rooms.comparisons(invoice.id, comparisonKinds, { limit: 1, ...(after ? { after } : {}) });
      if (!row) break;
      pages.push([row.kind, row.leaseId, row.vendorNano, row.oursNano]);
      after = [row.fromAt, row.id];
    }
    expect(pages).toEqual(await compared(invoice.id));
    expect((await rooms.list({ providerId }, ALL)).map((i) => i.id)).toEqual([invoice.id]);
  });

  it('are imported once, by file and by line', async () => {
    const { of, lines } = await month();
    const first = await bring(lines);
    expect(await bring(lines)).toEqual({ invoice: first.invoice, again: true });
    const late = billed('m-lost', 12, 14, '4');
    const { invoice } = await bring([...lines, late]);
    expect(invoice).toMatchObject({ lines: 1, knownLines: 4, totalNano: usd('4') });
    // What was metered on that day was compared with the first file; together they come to what was billed.
    expect(await compared(invoice.id)).toEqual(
      [['amount', of.lost, usd('4'), 0n]].map(([, ...c]) => ['duration', ...c]),
    );
    await expect(bring([...lines].reverse())).rejects.toMatchObject({ code: 'nothing-new' });
    const before = first.invoice.meteredNano + invoice.meteredNano;
    expect(before).toBe(usd('16'));
  });

  it('that say something else under a known id are refused, or skipped and counted', async () => {
    const { lines } = await month();
    const { invoice } = await bring(lines);
    const changed = [...lines.slice(1), lines[0]?.replace(',4,', ',4.5,') ?? '', billed('new', 1, 2, '1')];
    await expect(bring(changed)).rejects.toMatchObject({
      code: 'vendor-line-invalid',
      details: { field: 'line 5' },
      message: `Line 5: its id is that of line 2 of ${invoice.id}, which says something else.`,
    });
    const skipped = await bring(changed, { badLines: 'skip' });
    expect(skipped.invoice).toMatchObject({ lines: 1, knownLines: 3, skippedLines: 1, totalNano: usd('1') });
  });

  it('are compared with the period that is asked for', async () => {
    const { of, lines } = await month();
    const later = await ran('m-later', 30, 31);
    const { invoice } = await bring(lines.slice(0, 1), { toMs: start + 2 * DAY });
    const kinds = new Map((await compared(invoice.id)).map(([kind, lease]) => [lease, kind]));
    expect([kinds.get(of.ok), kinds.get(of.lost), kinds.get(later)]).toEqual(['agreed', 'only-ours', 'only-ours']);
  });

  it('of nobody, and of a period that ends before it starts, are refused', async () => {
    const { lines } = await month();
    await expect(bring(lines, { fromMs: start, toMs: start })).rejects.toMatchObject({ code: 'ends-before-start' });
    await expect(bring(lines, { providerId: newId('provider') })).rejects.toMatchObject({ kind: 'not-found' });
    await expect(rooms.get('vin_none')).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('are accepted: what is owed becomes what was billed, once, with who did it', async () => {
    const { lines } = await month();
    const differences = await balance(account.vendorDifferences);
    const { invoice } = await bring(lines);
    const [, dear] = await rooms.comparisons(invoice.id, comparisonKinds, ALL);
    const reason = 'as billed';
    const one = { ids: [dear?.id ?? ''], reason };
    expect(await rooms.accept(invoice.id, one, by)).toEqual({ accepted: 1, amountNano: usd('1') });
    expect(await balance(account.payable(providerId))).toBe(usd('17'));
    expect(await rooms.accept(invoice.id, one, by)).toEqual({ accepted: 0, amountNano: 0n });
    const rest = comparisonKinds.filter((kind) => kind !== 'agreed');
    const both = await Promise.all([1, 2].map(() => rooms.accept(invoice.id, { kinds: rest, reason }, by)));
    expect(both.map((b) => b.accepted).sort()).toEqual([0, 3]);
    expect(await balance(account.payable(providerId))).toBe(invoice.totalNano);
    expect((await balance(account.vendorDifferences)) - differences).toBe(invoice.meteredNano - invoice.totalNano);
    const rows = await till.tx((tx) => tx.find(vendorComparisons, { invoiceId: invoice.id }));
    for (const row of rows.filter((r) => r.transactionId !== null)) {
      const posted = await till.tx((tx) => tx.find(entries, { transactionId: row.transactionId ?? '' }));
      expect(posted.find((e) => e.accountId === account.payable(providerId))?.amountNano).toBe(
        row.vendorNano - row.oursNano,
      );
    }
    const acts = await till.tx((tx) => tx.find(auditLog, { subject: invoice.id }));
    expect(acts.map((a) => a.action).toSorted()).toEqual([
      'vendor-invoice.accept',
      'vendor-invoice.accept',
      'vendor-invoice.import',
    ]);
    await expect(rooms.accept(invoice.id, { ids: ['vcm_none'], reason }, by)).rejects.toMatchObject({
      kind: 'not-found',
    });
  });

  it('cannot be changed afterwards', async () => {
    if (!spec.postgres) return;
    const { lines } = await month();
    const { invoice } = await bring(lines);
    const change = till.tx((tx) => tx.update(vendorComparisons, { invoiceId: invoice.id }, { vendorNano: 1n }));
    await expect(change).rejects.toThrow(/permission denied/);
    await expect(spec.postgres.owner.query('update vendor_invoices set total_nano = 0')).rejects.toThrow(/append-only/);
  });
});
