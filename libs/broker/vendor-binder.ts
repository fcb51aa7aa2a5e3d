import { systemClock } from '#kernel';
import { SandboxProvider } from '#adapters/sandbox';
import { organizations } from '#identity/tenancy';
import type { Config } from '#platform/config';
import { WORKER, type Store } from '#platform/database';
import { HostPort } from '#compute/hosts';
import { providers, type ProviderRow } from '#compute/providers';
import type { Broker } from './compose.js';

/** Binds each connected provider to the adapter that reaches it. */
export class VendorBinder {
  constructor(
    private readonly broker: Broker,
    private readonly d: { store: Store; config: Pick<Config, 'sandbox' | 'defaultMarginBps'>; installId: string },
  ) {}

  /** Connects what the configuration names, then binds every active provider that is not bound yet; cheap to repeat. */
  async refresh(): Promise<void> {
    const { store, config } = this.d;
    if (config.sandbox !== null) await this.ensureSandbox(config.sandbox.url);
    const active = await store.transaction(WORKER, (tx) => tx.find(providers, { state: 'active' }));
    for (const provider of active) if (!this.broker.vendors.has(provider.id)) this.bind(provider);
  }

  private async ensureSandbox(url: string): Promise<void> {
    await this.d.store.transaction(WORKER, async (tx) => {
      const platform = await tx.first(organizations, { kind: 'platform' });
      if (!platform) return;
      const provider = await this.broker.providers.ensure(tx, {
        organizationId: platform.id,
        name: 'sandbox',
        kind: 'hyperscaler',
        adapter: 'sandbox',
        marginBps: this.d.config.defaultMarginBps,
        settings: { url },
      });
      if (provider.settings['url'] !== url) await tx.update(providers, { id: provider.id }, { settings: { url } });
    });
  }

  private bind(provider: ProviderRow): void {
    const { vendors } = this.broker;
    if (provider.adapter === 'host') {
      vendors.bind(provider.id, {
        port: new HostPort(this.d.store, this.broker.hosts, provider.id, this.d.installId, systemClock),
        acceptance: 'facts',
        residentAgent: true,
      });
      return;
    }
    if (provider.adapter === 'sandbox' && this.d.config.sandbox !== null) {
      const { url, key } = this.d.config.sandbox;
      // Simulated hardware: what its agents measure is the machine underneath, so enrolling is all that is asked.
      vendors.bind(provider.id, {
        port: new SandboxProvider({ baseUrl: url, apiKey: key ?? '', providerId: provider.id, clock: systemClock }),
        acceptance: 'enrolled',
        residentAgent: false,
      });
    }
  }
}
