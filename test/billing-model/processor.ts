import type { Payment, PaymentOutcome, PaymentPort, Refund } from '#contracts';

const FEE_CENTS = 30n;

/** A payment processor of a few lines: every card pays, the same key has the same effect, and everything can be looked up. */
export class Processor {
  private readonly byKey = new Map<string, unknown>();
  private readonly payments = new Map<string, Payment>();
  private readonly refunds = new Map<string, Refund>();

  private once<T>(key: string, make: () => T): Promise<PaymentOutcome<T>> {
    if (!this.byKey.has(key)) this.byKey.set(key, make());
    // What stands under a key was made by the same kind of call.
    return Promise.resolve({ kind: 'done', value: this.byKey.get(key) as T });
  }

  private readonly known: Partial<PaymentPort> = {
    charge: ({ key, reference, amountCents }) =>
      this.once(key, () => {
        const id = `pi_${reference}`;
        const paid: Payment = {
          id,
          state: 'succeeded',
          capturedCents: amountCents,
          feeCents: FEE_CENTS,
          failure: null,
        };
        this.payments.set(reference, paid);
        return paid;
      }),
    findPayment: (_, reference) => Promise.resolve(this.payments.get(reference) ?? null),
    refund: ({ key, reference, amountCents }) =>
      this.once(key, () => {
        const refund: Refund = { id: `re_${reference}`, state: 'succeeded', amountCents };
        this.refunds.set(reference, refund);
        return refund;
      }),
    findRefund: (_, reference) => Promise.resolve(this.refunds.get(reference) ?? null),
  };

  /** What of the port histories need; the rest is not there and would be missed. */
  get port(): PaymentPort {
    return this.known as PaymentPort;
  }
}
