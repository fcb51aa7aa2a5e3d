import type { CallIdentity, PaymentOutcome, SetupSession } from '#contracts';
import { SECOND } from '#kernel';
import { WORKER, type Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { needsNewKey, waitMs } from './decide.js';
import type { EffectKind, Ending } from './effect.reconciler.js';
import { setupMachine, type SetupState } from './machines.js';
import type { CardParts } from './parts.js';
import { paymentCustomers, paymentSetups, type CustomerRow, type SetupRow } from './payments.table.js';

const LOOK_EVERY_MS = 5 * SECOND;

/** A page of the processor's where a tenant leaves a card. */
export class SetupEffect implements EffectKind<SetupState, SetupRow, SetupSession> {
  readonly kind = 'payment-setup';
  readonly rows = paymentSetups;
  readonly machine = setupMachine;
  readonly standing = ['open'] as const;

  constructor(private readonly d: CardParts) {}

  async call(row: SetupRow, identity: CallIdentity): Promise<PaymentOutcome<SetupSession>> {
    const customer = await this.customer(row.organizationId);
    if (customer.kind !== 'done') return customer;
    const { successUrl, cancelUrl } = row;
    return this.d.port.openSetup({ ...identity, ...customer.value, successUrl, cancelUrl });
  }

  /** A page that nobody was told of harms nobody: only known ones are looked at. */
  find(row: SetupRow): Promise<SetupSession | null> {
    return row.processorId === null ? Promise.resolve(null) : this.d.port.getSetup(row.processorId);
  }

  async apply(tx: Tx, row: SetupRow, found: SetupSession): Promise<'rest'> {
    const now = await tx.now();
    if (found.state === 'open') {
      const wakeAt = now + waitMs(row.failures, LOOK_EVERY_MS);
      const patch = { processorId: found.id, url: found.url, failures: row.failures + 1 };
      await transition(tx, paymentSetups, setupMachine, row, 'open', { patch, wakeAt, message: 'waiting for a card' });
      return 'rest';
    }
    await transition(tx, paymentSetups, setupMachine, row, found.state, {
      patch: { processorId: found.id, url: null },
      wakeAt: null,
      message: found.state === 'complete' ? 'a card was left' : 'nobody left a card',
    });
    const { method } = found;
    if (method) {
      await tx.update(
        paymentCustomers,
        { organizationId: row.organizationId },
        {
          methodId: method.id,
          methodBrand: method.brand,
          methodLast4: method.last4,
          methodExpMonth: method.expMonth,
          methodExpYear: method.expYear,
          rechargeDeclines: 0,
          rechargeNotBefore: null,
        },
      );
    }
    return 'rest';
  }

  async end(tx: Tx, row: SetupRow, { code, message }: Ending): Promise<void> {
    await transition(tx, paymentSetups, setupMachine, row, 'refused', {
      patch: { code, message },
      wakeAt: null,
      message,
    });
  }

  /**
   * The organization as the processor's customer, made at the first need. Its key and the time of it are committed before it is
   * made; a key that does not serve any more is replaced after a search, which may miss one: an empty customer harms nobody.
   */
  private async customer(organizationId: string): Promise<PaymentOutcome<{ customerId: string }>> {
    const { port, store } = this.d;
    const row = await store.transaction(WORKER, async (tx) => {
      const [begun] = await tx.update(
        paymentCustomers,
        { organizationId, keyAt: { isNull: true } },
        { keyAt: await tx.now() },
      );
      return begun ?? (await tx.first(paymentCustomers, { organizationId }));
    });
    if (!row) throw new Error(`${organizationId} has no row for its card`);
    if (row.customerId !== null) return { kind: 'done', value: { customerId: row.customerId } };
    const now = await store.transaction(WORKER, (tx) => tx.now());
    if (needsNewKey({ keyAt: row.keyAt, spent: false }, now)) {
      const found = await port.findCustomer(organizationId);
      if (found) return this.keep(row, found.customerId);
      await this.newKey(row);
      return { kind: 'retry', message: 'The customer was not made.', retryAfterMs: 0 };
    }
    const key = `${organizationId}:customer:${row.attempt}`;
    const made = await port.createCustomer({ key, reference: organizationId, name: organizationId });
    if (made.kind === 'done') return this.keep(row, made.value.customerId);
    if (made.kind === 'unknown' && made.spent) await this.newKey(row);
    // A setup whose customer is in doubt has sent nothing of its own.
    return made.kind === 'unknown' ? { kind: 'retry', message: made.message, retryAfterMs: null } : made;
  }

  private async newKey({ organizationId, attempt }: CustomerRow): Promise<void> {
    await this.d.store.transaction(WORKER, (tx) =>
      tx.update(paymentCustomers, { organizationId, attempt }, { attempt: attempt + 1, keyAt: null }),
    );
  }

  /** Of two that were made at once the first one kept is used. */
  private async keep(of: CustomerRow, customerId: string): Promise<PaymentOutcome<{ customerId: string }>> {
    const { organizationId } = of;
    const kept = await this.d.store.transaction(WORKER, async (tx) => {
      await tx.update(paymentCustomers, { organizationId, customerId: { isNull: true } }, { customerId });
      return tx.first(paymentCustomers, { organizationId });
    });
    return { kind: 'done', value: { customerId: kept?.customerId ?? customerId } };
  }
}
