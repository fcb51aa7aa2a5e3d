import { newId, type Clock, type Random } from '#kernel';
import type { PriceClass, ProviderKind } from '#contracts';
import { WORKER, type Store, type Tx } from '#platform/database';
import { organizations } from '#identity/tenancy';
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

/** What of a provider decides on the price of its capacity. */
export interface PriceBasis {
  readonly priceClass: PriceClass;
  readonly providerMarginBps: number;
}

const BASIS_TTL_MS = 5_000;

/** Sources of supply. Connecting one opens its payable account, so that the first usage has somewhere to go. */
export class Providers {
  private readonly bases = new Map<string, { basis: PriceBasis; readAtMs: number }>();

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

  /** The margin of a provider and whose capacity it is: its kind, or `own` for hosts of the broker itself. No margin for one that is gone. */
  async priceBasis(tx: Tx, id: string): Promise<PriceBasis> {
    const row = await this.get(tx, id);
    if (!row) return { priceClass: 'bare-metal', providerMarginBps: 0 };
    const owner = row.adapter === 'host' ? await tx.first(organizations, { id: row.organizationId }) : null;
    return { priceClass: owner?.kind === 'platform' ? 'own' : row.kind, providerMarginBps: row.marginBps };
  }

  /** The same for an estimate, as read at most five seconds ago. */
  async estimatedBasis(store: Store, id: string): Promise<PriceBasis> {
    const known = this.bases.get(id);
    const nowMs = this.clock.now();
    if (known && nowMs - known.readAtMs < BASIS_TTL_MS) return known.basis;
    const basis = await store.transaction(WORKER, (tx) => this.priceBasis(tx, id));
    this.bases.set(id, { basis, readAtMs: nowMs });
    return basis;
  }

  get(tx: Tx, id: string): Promise<ProviderRow | null> {
    return tx.first(providers, { id });
  }
}
