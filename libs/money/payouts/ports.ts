import type { ProviderKind } from '#contracts';
import type { Tx } from '#platform/database';

/** A provider as far as paying it is concerned. */
export interface ProviderToPay {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly kind: ProviderKind;
  /** Machines that their owner registered through agents. */
  readonly registered: boolean;
}

/** What payouts want of providers; the room that has them gives it. */
export interface ProvidersToPay {
  get(tx: Tx, providerId: string): Promise<ProviderToPay | null>;
}
