import { notFound } from '#kernel';
import { audit, type Author } from '#identity/audit';
import { organizations } from '#identity/tenancy';
import { WORKER, type Store } from '#platform/database';
import { billingProfiles, type BillingProfileRow } from './rows/documents.table.js';

export type NewBillingProfile = Omit<BillingProfileRow, 'organizationId' | 'updatedAt'>;

/** How each organization is billed; a change counts for invoices that are issued after it. */
export class Profiles {
  constructor(private readonly store: Store) {}

  get(organizationId: string): Promise<BillingProfileRow | null> {
    return this.store.transaction(WORKER, async (tx) => {
      const organization = await tx.first(organizations, { id: organizationId, kind: 'tenant' });
      if (!organization) throw notFound('tenant', organizationId);
      return tx.first(billingProfiles, { organizationId });
    });
  }

  set(organizationId: string, profile: NewBillingProfile, by: Author): Promise<BillingProfileRow> {
    return this.store.transaction(WORKER, async (tx) => {
      const organization = await tx.first(organizations, { id: organizationId, kind: 'tenant' }, { lock: 'update' });
      if (!organization) throw notFound('tenant', organizationId);
      const before = await tx.first(billingProfiles, { organizationId });
      const after = { ...profile, organizationId, updatedAt: await tx.now() };
      await tx.upsert(billingProfiles, [after]);
      await audit(tx, { by, organizationId, action: 'billing-profile.set', subject: organizationId, before, after });
      return after;
    });
  }
}
