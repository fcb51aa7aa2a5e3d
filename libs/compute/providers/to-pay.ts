import type { ProvidersToPay } from '#money/payouts';
import { providers } from './providers.table.js';

/** Providers, as far as paying them is concerned. */
export const providersToPay: ProvidersToPay = {
  get: async (tx, id) => {
    const row = await tx.first(providers, { id });
    if (!row) return null;
    const { organizationId, name, kind, adapter } = row;
    return { id, organizationId, name, kind, registered: adapter === 'host' };
  },
};
