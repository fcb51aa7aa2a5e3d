import { stripePort } from '#adapters/stripe';
import type { PaymentPort } from '#contracts';
import { ManualClock, SeededRandom } from '#kernel';
import { MemoryStore, WORKER, type Store, type Tx } from '#platform/database';
import { ReconcileLoop } from '#platform/reconcile';
import { NANO_PER_CENT } from '#money/billing';
import { account, balancesBefore } from '#money/ledger';
import {
  invoiceClosings,
  noInvoices,
  paymentCustomers,
  Payments,
  payments,
  paymentSetups,
  refunds,
  type InvoicesToCollect,
  type PaymentRow,
} from '#money/payments';
import { openTill, type Till } from '#testing/till';
import { StripeStandIn } from './stand-in.js';
import type { CardBehaviour } from './world.js';

export const WEBHOOK_SECRET = 'whsec_spec';

/** The payments room on a store in memory, against the stand-in, both on one clock. */
export interface Rig {
  readonly clock: ManualClock;
  readonly standIn: StripeStandIn;
  readonly payments: Payments;
  readonly till: Till;
  readonly port: PaymentPort;
  /** Steps that failed with something unforeseen. */
  readonly failures: unknown[];
  /** A process that dies: the next step of a row throws away what it learned from the processor, `times` times. */
  crash(times: number): void;
  /** Drives what is due, as often as something is. */
  drive(): Promise<void>;
  /** Drives and lets time pass until nothing is due within that time. */
  rest(forMs?: number): Promise<void>;
  /** A tenant with a card that was left on the page. */
  payer(behaviour?: CardBehaviour): Promise<{ organizationId: string; methodId: string }>;
  creditCents(organizationId: string): Promise<bigint>;
  balanceCents(accountId: string): Promise<bigint>;
  payment(id: string): Promise<PaymentRow>;
  tx<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

class Crash extends Error {}

export interface RigOptions {
  readonly invoices?: (till: Till) => InvoicesToCollect;
  /** Instead of the one in memory. Its time is the real one, and only the clock of the stand-in can be moved. */
  readonly store?: Store;
}

export async function openRig(options: RigOptions = {}): Promise<Rig> {
  const clock = new ManualClock(options.store ? Date.now() : Date.UTC(2026, 10, 21));
  const standIn = await StripeStandIn.start(clock);
  const store = options.store ?? new MemoryStore(clock);
  const till = await openTill({ store, clock });
  const real = stripePort({ secretKey: 'sk_test_spec', webhookSecret: WEBHOOK_SECRET, apiBase: standIn.url });
  let crashes = 0;
  // The call goes out and comes back, and nobody is there any more who would write down what it said.
  const port = new Proxy(real, {
    get: (target, name: keyof PaymentPort) => {
      const method = target[name] as (...args: unknown[]) => unknown;
      if (name === 'readEvent') return method;
      return async (...args: unknown[]) => {
        const answer = await method(...args);
        if (crashes > 0) {
          crashes--;
          throw new Crash();
        }
        return answer;
      };
    },
  });
  const random = new SeededRandom('rig');
  const wake = { wake: async () => undefined };
  const room = new Payments({
    store,
    ledger: till.ledger,
    invoices: options.invoices?.(till) ?? noInvoices,
    wake,
    clock,
    random,
    port,
  });
  const failures: unknown[] = [];
  const loop = new ReconcileLoop(store, wake, room.reconcilers, {
    repaired: () => undefined,
    failed: (_kind, _id, error) => {
      if (!(error instanceof Crash)) failures.push(error);
    },
  });
  const tx = <T>(work: (t: Tx) => Promise<T>): Promise<T> => store.transaction(WORKER, work);
  const due = (): Promise<{ kind: string; id: string; wakeAt: number | null }[]> =>
    tx(async (t) => {
      const all = [
        ...(await t.find(payments, { wakeAt: { isNull: false } })).map((r) => ({ ...r, kind: 'payment' })),
        ...(await t.find(refunds, { wakeAt: { isNull: false } })).map((r) => ({ ...r, kind: 'refund' })),
        ...(await t.find(paymentSetups, { wakeAt: { isNull: false } })).map((r) => ({ ...r, kind: 'payment-setup' })),
        ...(await t.find(invoiceClosings, { wakeAt: { isNull: false } })).map((r) => ({
          ...r,
          kind: 'invoice-closing',
        })),
      ];
      return all.map(({ kind, id, wakeAt }) => ({ kind, id, wakeAt }));
    });
  const drive = async (): Promise<void> => {
    for (let n = 0; n < 50; n++) {
      const now = await tx((t) => t.now());
      const rows = (await due()).filter((r) => (r.wakeAt ?? Infinity) <= now);
      if (rows.length === 0) return;
      for (const { kind, id } of rows) await loop.reconcile(kind, id);
    }
    throw new Error('rows stay due');
  };
  const rest = async (forMs = 600_000): Promise<void> => {
    for (let n = 0; n < 2_000; n++) {
      await drive();
      const next = Math.min(...(await due()).map((r) => r.wakeAt ?? Infinity));
      if (next - clock.now() > forMs) return;
      clock.set(Math.max(clock.now(), next));
    }
    throw new Error('it never rests');
  };
  const balanceCents = async (id: string): Promise<bigint> =>
    ((await tx((t) => balancesBefore(t, null, [id]))).get(id) ?? 0n) / NANO_PER_CENT;
  standIn.webhooks.target = {
    secret: WEBHOOK_SECRET,
    send: async (payload, signature) => {
      const event = port.readEvent(Buffer.from(payload), signature, clock.now());
      if (!event) return 400;
      await room.takeEvent(event);
      return 200;
    },
  };
  return {
    clock,
    standIn,
    payments: room,
    till,
    port,
    failures,
    crash: (times) => {
      crashes = times;
    },
    drive,
    rest,
    async payer(behaviour = 'pays') {
      const { organizationId } = await till.tenant('0');
      const urls = { successUrl: 'https://b/ok', cancelUrl: 'https://b/no' };
      const { id } = await room.beginSetup(organizationId, urls);
      await drive();
      const row = await tx((t) => t.first(paymentSetups, { id }));
      standIn.leaveCard(row?.processorId ?? '', behaviour);
      await standIn.webhooks.deliver();
      await drive();
      const customer = await tx((t) => t.first(paymentCustomers, { organizationId }));
      if (customer?.methodId == null) throw new Error('the card did not arrive');
      return { organizationId, methodId: customer.methodId };
    },
    creditCents: (organizationId) => balanceCents(account.credit(organizationId)),
    balanceCents,
    async payment(id) {
      const row = await tx((t) => t.first(payments, { id }));
      if (!row) throw new Error(`no payment ${id}`);
      return row;
    },
    tx,
    close: () => standIn.close(),
  };
}
