import { newId, SeededRandom, systemClock } from '#kernel';
import { Outbox, PgTx, sql, WORKER, type Store } from '#platform/database';
import { organizations, projects } from '#identity/tenancy';
import { Billing, defaultBillingSettings, invoiceLines, invoices, manualRate } from '#money/billing';
import { Ledger } from '#money/ledger';
import { monthStart } from '#money/metering';

const PROJECTS = 20;
/** The records are spread evenly over so much of the month, however many they are: 23 days. */
const SPAN_S = 2_000_000;

export interface InvoiceContext {
  readonly store: Store;
  readonly quick?: boolean;
}

export interface InvoiceResult {
  readonly rows: number;
  readonly seconds: number;
}

/** How long an invoice takes to issue from raw usage records alone, its PDF included: no rollup is read. */
export async function run({ store, quick = false }: InvoiceContext): Promise<InvoiceResult> {
  const rows = quick ? 100_000 : 1_000_000;
  const stepS = SPAN_S / rows;
  const random = new SeededRandom('invoice bench');
  const ledger = new Ledger(systemClock, random);
  const bytes = { put: () => Promise.resolve(), get: () => Promise.reject(new Error('nothing is kept')) };
  const outbox = new Outbox(store, random);
  const settings = { ...defaultBillingSettings, invoiceSeries: 'BENCH' };
  const parts = { store, clock: systemClock, random, ledger, outbox, settings, tax: manualRate };
  const billing = new Billing(parts, bytes);
  const month = monthStart(monthStart(systemClock.now()) - 1);
  const organizationId = newId('organization', systemClock.now(), random);
  const by = { keyId: null, organizationId: null, requestId: null, address: null };
  await store.transaction(WORKER, async (tx) => {
    const createdAt = await tx.now();
    await ledger.openOwn(tx);
    await tx.insert(organizations, { id: organizationId, name: 'bench', kind: 'tenant', state: 'active', createdAt });
    await tx.insert(
      projects,
      Array.from({ length: PROJECTS }, (_, i) => ({
        id: `${organizationId}-${i}`,
        organizationId,
        name: `project ${i}`,
        createdAt,
      })),
    );
    if (!(tx instanceof PgTx)) throw new TypeError('the bench needs PostgreSQL');
    // Seconds of leases over the whole month, on ten kinds of machines, of twenty projects.
    await tx.query(
      sql`insert into usage_records select r.* from generate_series(1, ${rows}::integer) as n,
            jsonb_populate_record(null::usage_records, jsonb_build_object(
              'id', ${organizationId}::text || '-' || n, 'key', ${organizationId}::text || '-' || n, 'organization_id', ${organizationId}::text,
              'project_id', ${organizationId}::text || '-' || n % ${PROJECTS}::integer, 'lease_id', 'lease-' || n % 5000, 'provider_id', 'bench',
              'provider_class', (array['hyperscaler', 'marketplace'])[1 + n % 2], 'model', (array['H100', 'A100', 'L4'])[1 + n % 3],
              'meter', 'lease-time', 'side', 'charge', 'resource', 'machine x' || n % 10, 'source', 'lease',
              'from_at', ${new Date(month).toISOString()}::timestamptz + n * ${stepS}::integer * interval '1 second',
              'to_at', ${new Date(month).toISOString()}::timestamptz + n * ${stepS}::integer * interval '1 second' + interval '1 second',
              'period_hour', date_trunc('hour', ${new Date(month).toISOString()}::timestamptz + n * ${stepS}::integer * interval '1 second', 'UTC'),
              'period_month', ${new Date(month).toISOString()}::timestamptz,
              'quantity', 1000, 'unit', 'ms', 'unit_price_nano', 2000000000, 'amount_nano', 555555 + n % 7, 'created_at', now())) as r`,
    );
  });
  // The first reader of new rows writes to them too; it is vacuum that does this where rows come in one by one.
  await store.transaction(WORKER, async (tx) => {
    if (tx instanceof PgTx) await tx.query(sql`select count(*) from usage_records where side = 'charge'`);
  });
  await billing.ensureDraft(organizationId, month);
  const draft = await store.transaction(WORKER, (tx) => tx.first(invoices, { organizationId }));
  if (!draft) throw new Error('there is no draft');
  const began = performance.now();
  const row = await billing.issueNow(draft.id, by);
  const pdf = await billing.filing.document(WORKER, row.id, 'pdf');
  const seconds = (performance.now() - began) / 1_000;
  const lines = await store.transaction(WORKER, (tx) => tx.find(invoiceLines, { invoiceId: row.id }));
  const sum = lines.reduce((a, l) => a + l.cents, 0n);
  if (sum !== row.usageCents || row.number === null || pdf.bytes.length === 0) throw new Error('the invoice is wrong');
  return { rows, seconds };
}
