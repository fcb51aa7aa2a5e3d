import type { Clock, Random } from '#kernel';
import type { PaymentPort } from '#contracts';
import type { Store } from '#platform/database';
import type { WakeQueue } from '#platform/reconcile';
import type { Ledger } from '#money/ledger';
import type { InvoicesToCollect } from './ports.js';

/** What the pieces of this room work with. */
export interface PaymentParts {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly invoices: InvoicesToCollect;
  readonly wake: WakeQueue;
  readonly clock: Clock;
  readonly random: Random;
  /** Null: this installation takes no cards. */
  readonly port: PaymentPort | null;
}

/** For whoever is only reached when there is a processor. */
export type CardParts = PaymentParts & { readonly port: PaymentPort };
