import { newId } from '#kernel';
import { BROKER } from '#identity/audit';
import { WORKER } from '#platform/database';
import { account } from '#money/ledger';
import type { TestApi } from './test-api.js';

/** A bill of machines that nobody leased, as plain CSV. */
export const strayBill = (...machines: readonly string[]): string =>
  ['machine_id,from,to,amount_usd', ...machines.map((m) => `${m},2026-10-01,2026-10-02,1`)].join('\n');

/** A provider with two invoices that were imported, and two differences on each. */
export async function ownVendorInvoices({ ground: { broker, store } }: TestApi) {
  const vendorId = newId('provider');
  await store.transaction(WORKER, (tx) =>
    broker.ledger.open(tx, [{ id: account.payable(vendorId), kind: 'payable', organizationId: null }]),
  );
  const ids: string[] = [];
  for (const n of [1, 2]) {
    async function* bytes() {
      yield await Promise.resolve(Buffer.from(strayBill(`stray-${n}-a`, `stray-${n}-b`)));
    }
    const of = { providerId: vendorId, format: 'csv', fileName: 'bill.csv', bytes: bytes(), badLines: 'stop' } as const;
    ids.push((await broker.vendorInvoices.import(of, BROKER)).invoice.id);
  }
  return { vendorId, vendorInvoiceId: ids[1] ?? '' };
}
