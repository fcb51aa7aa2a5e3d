import { HOUR, SeededRandom, type Clock } from '#kernel';
import { Outbox } from '#platform/database';
import { account, accounts, balancesBefore } from '#money/ledger';
import type { Machine } from '#money/metering';
import type { Tenant, Till } from '#testing/till';
import { Billing, defaultBillingSettings, manualRate, type BillingParts } from './index.js';
import type { DocumentBytes } from './filing.js';

/** Documents in memory. */
export class MemoryDocuments implements DocumentBytes {
  readonly kept = new Map<string, Uint8Array>();
  put(key: string, body: Uint8Array): Promise<void> {
    this.kept.set(key, body);
    return Promise.resolve();
  }
  get(key: string): Promise<AsyncIterable<Uint8Array>> {
    const body = this.kept.get(key);
    if (!body) return Promise.reject(new Error(`no ${key}`));
    return Promise.resolve(
      (async function* () {
        yield body;
      })(),
    );
  }
}

let opened = 0;

/** Invoices on a till; each its own series, so that numbers of specs on one database do not meet. */
export function openBilling(till: Till, clock: Clock, over: Partial<BillingParts> = {}) {
  const series = `T${++opened}`;
  const parts: BillingParts = {
    store: till.store,
    clock,
    random: new SeededRandom(`billing ${series}`),
    ledger: till.ledger,
    outbox: new Outbox(till.store, new SeededRandom(`outbox ${series}`)),
    settings: { ...defaultBillingSettings, invoiceSeries: series, creditNoteSeries: `C${series}` },
    tax: manualRate,
    ...over,
  };
  const documents = new MemoryDocuments();
  return { billing: new Billing(parts, documents), documents, parts, series };
}

export interface Charge {
  readonly fromMs: number;
  /** For one hour from then on. */
  readonly amountNano: bigint;
  readonly resource?: string;
  readonly machine?: Machine;
}

let leases = 0;

/** Charges a tenant for an hour of a lease of its own, all of it covered by its hold. */
export async function charge(
  till: Till,
  tenant: Tenant,
  { fromMs, amountNano, resource = 'H100 x1', machine }: Charge,
): Promise<void> {
  const providerId = await till.provider();
  const leaseId = `lease_${tenant.organizationId}_${++leases}`;
  await till.tx(async (tx) => {
    const hold = await till.holds.take(tx, { ...tenant, amountNano });
    const side = { perHour: amountNano, startMs: fromMs, fromMs, toMs: fromMs + HOUR };
    const interval = {
      leaseId,
      ...tenant,
      jobId: null,
      providerId,
      holdId: hold.id,
      resource,
      ...(machine ? { machine } : {}),
      charge: side,
      cost: null,
    };
    await till.metering.leaseTime(tx, interval, true);
  });
}

/** Lets a tenant pay afterwards, up to so much. */
export async function payAfterwards(till: Till, { organizationId }: Tenant, limitNano: bigint): Promise<void> {
  const id = account.credit(organizationId);
  await till.tx(async (tx) => {
    await till.ledger.open(tx, [{ id, kind: 'credit', organizationId }]);
    await tx.update(accounts, { id }, { creditLimitNano: limitNano });
  });
}

export async function balanceOf(till: Till, id: string): Promise<bigint> {
  return (await till.tx((tx) => balancesBefore(tx, null, [id]))).get(id) ?? 0n;
}
