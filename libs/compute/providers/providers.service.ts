import { newId, type Clock, type Random } from '#kernel';
import type { ProviderKind } from '#contracts';
import type { Tx } from '#platform/database';
import { account, Ledger } from '#money/ledger';
import { providers, type ProviderRow } from './providers.table.js';

export interface NewProvider {
  readonly organizationId: string;
  readonly name: string;
  readonly kind: ProviderKind;
  readonly adapter: string;
  readonly marginBps: number;
  readonly settings?: Record<string, unknown>;
}

/** Sources of supply. Connecting one opens its payable account, so that the first usage has somewhere to go. */
export class Providers {
  constructor(
    private readonly ledger: Ledger,
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** Creates the provider, or returns the one of that organization and name. */
  async ensure(tx: Tx, of: NewProvider): Promise<ProviderRow> {
    const row: ProviderRow = {
      id: newId('provider', this.clock.now(), this.random),
      settings: {},
      ...of,
      state: 'active',
      createdAt: this.clock.now(),
    };
    const [added] = await tx.insertNew(providers, [row]);
    const provider = added ?? (await tx.first(providers, { organizationId: of.organizationId, name: of.name }));
    if (!provider) throw new Error('the provider vanished between two statements');
    await this.ledger.open(tx, [
      { id: account.payable(provider.id), kind: 'payable', organizationId: of.organizationId },
    ]);
    return provider;
  }

  get(tx: Tx, id: string): Promise<ProviderRow | null> {
    return tx.first(providers, { id });
  }
}
