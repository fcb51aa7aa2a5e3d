import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HOUR, newId, usd } from '#kernel';
import type { ProviderKind } from '#contracts';
import { WORKER } from '#platform/database';
import { monthStart, usageRecords, usageRow } from '#money/metering';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { charge, openBilling } from '../billing.fixture.js';
import { defaultBillingSettings, invoices, type InvoiceView } from '../index.js';
import { csvOf } from '../render/csv.js';
import { documentOfInvoice, type BillingDocument } from '../render/document.js';
import { pdfOf } from '../render/pdf.js';

const by = { keyId: newId('key'), organizationId: newId('organization'), requestId: 'req_spec', address: null };
const LLAMA = 'llama-3.1-8b-instruct';
const QWEN = 'qwen2.5-0.5b-instruct';

describe.each(specStores)('lines of an invoice, $name', ({ open }) => {
  let spec: SpecStore;
  let till: Till;
  let made: ReturnType<typeof openBilling>;
  let last: number;
  let present: number;
  beforeAll(async () => {
    spec = await open();
    till = await openTill(spec);
    made = openBilling(till, spec.clock);
    present = monthStart(spec.clock.now());
    last = monthStart(present - 1);
  });
  afterAll(() => spec.close());

  const rented = (tenant: Tenant, model: string, providerClass: ProviderKind, dollars: string, atHour = 0) =>
    charge(till, tenant, {
      fromMs: last + atHour * HOUR,
      amountNano: usd(dollars),
      resource: `${model} x 1`,
      machine: { model, providerClass, sku: `${model} of ${providerClass}` },
    });
  let shards = 0;
  const inferred = async (
    tenant: Tenant,
    model: string,
    providerClass: ProviderKind,
    tokens: number,
  ): Promise<void> => {
    const providerId = await till.provider();
    const shard = {
      id: `shard_${tenant.organizationId}_${++shards}`,
      leaseId: 'lease_of_a_shard',
      ...tenant,
      jobId: 'job_of_a_shard',
      providerId,
      resource: 'batch-inference',
      providerClass,
      model,
      fromMs: last,
      toMs: last + HOUR,
    };
    await till.tx((tx) => till.metering.shardCounts(tx, [{ shard, counts: { 'output-tokens': tokens } }]));
  };

  /** Two accelerators and two language models, each from two kinds of provider; one of each kind twice. */
  const month = async (): Promise<Tenant> => {
    const tenant = await till.tenant('100');
    await rented(tenant, 'H100', 'hyperscaler', '4');
    await rented(tenant, 'H100', 'decentralized', '2');
    await rented(tenant, 'H100', 'decentralized', '2.5', 1);
    await rented(tenant, 'A100', 'hyperscaler', '3');
    await rented(tenant, 'A100', 'decentralized', '1');
    await inferred(tenant, LLAMA, 'hyperscaler', 10);
    await inferred(tenant, LLAMA, 'hyperscaler', 5);
    await inferred(tenant, LLAMA, 'decentralized', 20);
    await inferred(tenant, QWEN, 'decentralized', 30);
    return tenant;
  };
  const issued = async ({ organizationId }: Tenant): Promise<InvoiceView> => {
    await made.billing.ensureDraft(organizationId, last);
    const draft = await till.tx((tx) => tx.first(invoices, { organizationId, periodStart: last }));
    const { id } = await made.billing.issueNow(draft?.id ?? '', by);
    return made.billing.get(WORKER, id);
  };
  const said = (view: InvoiceView) =>
    view.lines.map((l) => [l.resource, l.model, l.providerClass, l.meter, l.quantity, l.amountNano]).sort();
  const hours = (n: number): bigint => BigInt(n * HOUR);

  it('are one for each machine, model and kind of provider, on the draft as on the invoice', async () => {
    const tenant = await month();
    const wanted = [
      ['A100 x 1', 'A100', 'decentralized', 'lease-time', hours(1), usd('1')],
      ['A100 x 1', 'A100', 'hyperscaler', 'lease-time', hours(1), usd('3')],
      ['H100 x 1', 'H100', 'decentralized', 'lease-time', hours(2), usd('4.5')],
      ['H100 x 1', 'H100', 'hyperscaler', 'lease-time', hours(1), usd('4')],
      ['batch-inference', LLAMA, 'decentralized', 'output-tokens', 20n, 0n],
      ['batch-inference', LLAMA, 'hyperscaler', 'output-tokens', 15n, 0n],
      ['batch-inference', QWEN, 'decentralized', 'output-tokens', 30n, 0n],
    ];
    expect(said(await made.billing.preview(WORKER, tenant.organizationId, last))).toEqual(wanted);
    const view = await issued(tenant);
    expect(said(view)).toEqual(wanted);
    expect(view.usageNano).toBe(usd('12.5'));
    await till.audit();
  });

  it('are of all projects where the organization as a whole owes', async () => {
    const { organizationId } = await till.tenant('10');
    const record = usageRow({
      id: newId('usage'),
      key: `commitment:${organizationId}`,
      organizationId,
      projectId: organizationId,
      source: 'commitment',
      meter: 'commitment',
      side: 'charge',
      resource: 'committed use per month',
      fromAt: last + HOUR,
      toAt: last + HOUR,
      quantity: 1n,
      unitPriceNano: 0n,
      amountNano: 0n,
      createdAt: last,
    });
    await till.tx((tx) => tx.insert(usageRecords, record));
    const preview = await made.billing.preview(WORKER, organizationId, last);
    const view = await issued({ organizationId, projectId: organizationId });
    for (const { lines } of [preview, view])
      expect(lines.map((l) => [l.resource, l.projectName])).toEqual([['committed use per month', 'all projects']]);
  });

  it('tell late usage of another kind of provider from what was billed', async () => {
    const tenant = await month();
    await issued(tenant);
    await rented(tenant, 'A100', 'bare-metal', '0.5', 2);
    await rented(tenant, 'H100', 'hyperscaler', '0.25', 2);
    const next = await made.billing.preview(WORKER, tenant.organizationId, present);
    expect(said(next)).toEqual([
      ['A100 x 1', 'A100', 'bare-metal', 'lease-time', hours(1), usd('0.5')],
      ['H100 x 1', 'H100', 'hyperscaler', 'lease-time', hours(1), usd('0.25')],
    ]);
  });

  it('show model and kind of provider in CSV and PDF', async () => {
    const view = await issued(await month());
    const document = documentOfInvoice(view, 'ACME', defaultBillingSettings);
    const rows = csvOf(document)
      .split('\r\n')
      .map((row) => row.split(','));
    const columns = ['resource', 'model', 'provider_class'].map((name) => rows[0]?.indexOf(name) ?? -1);
    const cells = rows.slice(1, 1 + view.lines.length).map((row) => columns.map((c) => row[c]));
    expect(cells).toEqual(view.lines.map((l) => [l.resource, l.model, l.providerClass]));
    const without = (field: 'model' | 'providerClass'): BillingDocument => ({
      ...document,
      lines: document.lines.map((l) => ({ ...l, [field]: null })),
    });
    const pdf = await pdfOf(document);
    expect(Buffer.from(await pdfOf({ ...document })).equals(pdf)).toBe(true);
    for (const field of ['model', 'providerClass'] as const)
      expect(Buffer.from(await pdfOf(without(field))).equals(pdf)).toBe(false);
  });
});
