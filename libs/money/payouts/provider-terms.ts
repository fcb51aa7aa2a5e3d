import { notFound } from '#kernel';
import { audit, type Author } from '#identity/audit';
import { WORKER } from '#platform/database';
import { termsOf, type PayoutParts } from './parts.js';
import type { ProviderToPay } from './ports.js';
import { payoutTerms, type TermsRow } from './rows/payouts.table.js';
import type { PayoutTerms } from './terms.js';

export interface ProviderTerms {
  readonly provider: ProviderToPay;
  readonly terms: PayoutTerms;
  /** Null: those of its kind. */
  readonly updatedAt: number | null;
}

/** How each provider is paid; a change counts for statements that are made after it. */
export class Terms {
  constructor(private readonly d: Pick<PayoutParts, 'store' | 'providers'>) {}

  get(providerId: string): Promise<ProviderTerms> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const provider = await this.d.providers.get(tx, providerId);
      if (!provider) throw notFound('provider', providerId);
      const row = await tx.first(payoutTerms, { providerId });
      return { provider, terms: await termsOf(tx, provider), updatedAt: row?.updatedAt ?? null };
    });
  }

  /** What is not given stays as it is. */
  set(providerId: string, change: Partial<PayoutTerms>, by: Author): Promise<ProviderTerms> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const provider = await this.d.providers.get(tx, providerId);
      if (!provider) throw notFound('provider', providerId);
      const { organizationId } = provider;
      const { holdbackBps, holdbackDays, minimumCents, autoDispute, autoPay, method } = await termsOf(tx, provider);
      const before = { holdbackBps, holdbackDays, minimumCents, autoDispute, autoPay, method };
      const terms = { ...before, ...change };
      const row: TermsRow = { ...terms, providerId, organizationId, updatedAt: await tx.now() };
      await tx.upsert(payoutTerms, [row]);
      await audit(tx, { by, organizationId, action: 'payout-terms.set', subject: providerId, before, after: terms });
      return { provider, terms, updatedAt: row.updatedAt };
    });
  }
}
