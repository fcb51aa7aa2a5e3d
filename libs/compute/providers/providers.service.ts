import { newId, type Clock, type Random } from '#kernel';
import type { ProviderKind } from '#contracts';
import { WORKER, type Store, type Tx } from '#platform/database';
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

const MARGIN_TTL_MS = 5_000;

/** Sources of supply. Connecting one opens its payable account, so that the first usage has somewhere to go. */
export class Providers {
  private readonly margins = new Map<string, { bps: number; readAtMs: number }>();

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

  /** The margin of a provider, as read at most five seconds ago; 0 for one that is gone. */
  async marginBps(store: Store, id: string): Promise<number> {
    const known = this.margins.get(id);
    const nowMs = this.clock.now();
    if (known && nowMs - known.readAtMs < MARGIN_TTL_MS) return known.bps;
    const row = await store.transaction(WORKER, (tx) => this.get(tx, id));
    const bps = row?.marginBps ?? 0;
    this.margins.set(id, { bps, readAtMs: nowMs });
    return bps;
  }

  get(tx: Tx, id: string): Promise<ProviderRow | null> {
    return tx.first(providers, { id });
  }
}
