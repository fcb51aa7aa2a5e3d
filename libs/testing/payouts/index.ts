import { HOUR, newId, SeededRandom, type Clock } from '#kernel';
import type { PayeeAccount, PaymentOutcome, PaymentPort, Transfer, TransferReversal } from '#contracts';
import { organizations } from '#identity/tenancy';
import { Outbox, PgTx, sql, WORKER } from '#platform/database';
import { ReconcileLoop } from '#platform/reconcile';
import { balancesBefore } from '#money/ledger';
import type { Tenant, Till } from '#testing/till';
import { Payouts, type PayoutParts, type ProviderToPay } from '#money/payouts';

/** What the processor does with the next request: `lost` does it and says nothing, `dies` does it and our process ends. */
export type Mood = 'ok' | 'lost' | 'never' | 'retry' | 'refused' | 'dies';

/** Our process ends between the call and the booking of its answer. */
export class Died extends Error {}

/** A processor in memory: same key, same effect. */
export class FakeBank {
  readonly transfers: {
    id: string;
    reference: string;
    accountId: string;
    amountCents: bigint;
    reversedCents: bigint;
  }[] = [];
  readonly reversals: (TransferReversal & { reference: string })[] = [];
  readonly moods: Mood[] = [];
  private readonly answers = new Map<string, unknown>();
  private n = 0;

  private once<T>(key: string, work: () => T): PaymentOutcome<T> {
    const mood = this.moods.shift() ?? 'ok';
    if (mood === 'retry') return { kind: 'retry', message: 'busy', retryAfterMs: null };
    if (mood === 'refused') return { kind: 'refused', code: 'no', message: 'not allowed' };
    if (mood === 'never') return { kind: 'unknown', message: 'no answer', spent: false };
    const value = (this.answers.get(key) as T | undefined) ?? work();
    this.answers.set(key, value);
    if (mood === 'dies') throw new Died();
    if (mood === 'lost') return { kind: 'unknown', message: 'no answer', spent: false };
    return { kind: 'done', value };
  }

  private readonly calls = {
    createAccount: async ({ key }: { key: string }): Promise<PaymentOutcome<PayeeAccount>> =>
      this.once(key, () => this.account(`acct_${++this.n}`)),
    getAccount: async (id: string): Promise<PayeeAccount> => this.account(id),
    findAccount: async (): Promise<PayeeAccount | null> => null,
    transfer: async (of: { key: string; reference: string; accountId: string; amountCents: bigint }) =>
      this.once<Transfer>(of.key, () => {
        const { reference, accountId, amountCents } = of;
        const made = { id: `tr_${++this.n}`, reference, accountId, amountCents, reversedCents: 0n };
        this.transfers.push(made);
        return made;
      }),
    getTransfer: async (id: string) => this.transfers.find((t) => t.id === id),
    findTransfer: async (reference: string) => this.transfers.find((t) => t.reference === reference) ?? null,
    reverseTransfer: async (of: { key: string; reference: string; transferId: string; amountCents: bigint }) =>
      this.once<TransferReversal>(of.key, () => {
        const { reference, transferId, amountCents } = of;
        const transfer = this.transfers.find((t) => t.id === transferId);
        if (transfer) transfer.reversedCents += amountCents;
        const made = { id: `trr_${++this.n}`, transferId, amountCents, reference };
        this.reversals.push(made);
        return made;
      }),
    findReversal: async (_: string, reference: string) => this.reversals.find((r) => r.reference === reference) ?? null,
  };

  private account(id: string): PayeeAccount {
    return { id, transfersEnabled: true, payoutsEnabled: true, requirementsDue: [] };
  }

  /** What left for providers and did not come back. */
  get paidCents(): bigint {
    return this.transfers.reduce((a, t) => a + t.amountCents - t.reversedCents, 0n);
  }

  // Only what pays providers is there; nothing of this room asks for more.
  get port(): PaymentPort {
    return this.calls as unknown as PaymentPort;
  }
}

let opened = 0;

/** Payouts on a till; each its own series, so that numbers of specs on one database do not meet. */
export function openPayouts(till: Till, clock: Clock, over: Partial<PayoutParts> = {}) {
  const series = `PT${++opened}`;
  const random = new SeededRandom(`payouts ${series}`);
  const known = new Map<string, ProviderToPay>();
  const bank = new FakeBank();
  const wake = { wake: async () => undefined };
  const parts: PayoutParts = {
    store: till.store,
    ledger: till.ledger,
    outbox: new Outbox(till.store, new SeededRandom(`outbox ${series}`)),
    providers: { get: async (_, id) => known.get(id) ?? null },
    wake,
    clock,
    random,
    settings: { seller: { name: 'Berth', address: [], taxId: null, email: null }, footer: '', graceMs: 0 },
    series,
    port: bank.port,
    ...over,
  };
  const payouts = new Payouts(parts);
  const failures: unknown[] = [];
  const loop = new ReconcileLoop(till.store, wake, payouts.reconcilers, {
    repaired: () => undefined,
    failed: (_kind, _id, error) => {
      if (!(error instanceof Died)) failures.push(error);
    },
  });
  return {
    payouts,
    bank,
    parts,
    failures,
    /** A provider organization with one provider whose hosts are registered. */
    async provider(of: Partial<ProviderToPay> = {}): Promise<ProviderToPay> {
      const id = await till.provider();
      const organizationId = newId('organization', clock.now(), random);
      const provider = { id, organizationId, name: 'hosts', kind: 'bare-metal' as const, registered: true, ...of };
      const name = `provider ${organizationId}`;
      await till.tx(async (tx) => {
        const createdAt = clock.now();
        await tx.insert(organizations, { id: organizationId, name, kind: 'provider', state: 'active', createdAt });
        if (tx instanceof PgTx)
          await tx.query(
            sql`insert into providers (id, organization_id, name, kind, adapter, state, margin_bps, settings, created_at)
                values (${id}, ${organizationId}, ${provider.name}, ${provider.kind}, 'host', 'active', 0, '{}', now())`,
          );
      });
      known.set(id, provider);
      return provider;
    },
    /** Drives what is due until nothing is. */
    async drive(): Promise<void> {
      for (let n = 0; n < 50; n++) {
        let found = 0;
        for (const of of payouts.reconcilers) {
          const due = await till.store.transaction(WORKER, async (tx) => of.due(tx, await tx.now(), 100));
          found += due.length;
          for (const { id } of due) await loop.reconcile(of.kind, id);
        }
        if (found === 0) return;
      }
      throw new Error('rows stay due');
    },
  };
}

let leases = 0;

/** Lets a provider earn: one hour of a lease of its own from then on, at that price. Returns the lease's id. */
export async function earn(
  till: Till,
  tenant: Tenant,
  of: { readonly providerId: string; readonly fromMs: number; readonly amountNano: bigint; readonly sku?: string },
): Promise<string> {
  const { providerId, fromMs, amountNano } = of;
  const leaseId = `lease_payout_${tenant.organizationId}_${++leases}`;
  const cost = { perHour: amountNano, startMs: fromMs, fromMs, toMs: fromMs + HOUR };
  await till.tx((tx) =>
    till.metering.leaseTime(tx, {
      leaseId,
      ...tenant,
      jobId: null,
      providerId,
      holdId: null,
      resource: 'H100 x1',
      machine: { providerClass: 'bare-metal', model: 'H100', sku: of.sku ?? 'gpu-1' },
      charge: null,
      cost,
    }),
  );
  return leaseId;
}

export async function balanceOf(till: Till, id: string): Promise<bigint> {
  return (await till.tx((tx) => balancesBefore(tx, null, [id]))).get(id) ?? 0n;
}
