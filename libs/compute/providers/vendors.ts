import type { ProviderPort } from '#contracts';

export interface VendorBinding {
  readonly port: ProviderPort;
  /** How a rented machine is accepted: `facts` compares what the agent measures with the offer; `enrolled` is enough where hardware is simulated. */
  readonly acceptance: 'facts' | 'enrolled';
  /** True when the machine's agent is already there (registered hosts): no enrolment token is issued. */
  readonly residentAgent: boolean;
}

/** Which port reaches which provider; filled by the app, which is the only place that knows adapters. */
export class Vendors {
  private readonly bindings = new Map<string, VendorBinding>();

  bind(providerId: string, binding: VendorBinding): void {
    this.bindings.set(providerId, binding);
  }

  of(providerId: string): VendorBinding {
    const binding = this.bindings.get(providerId);
    if (!binding) throw new Error(`provider ${providerId} is not bound to an adapter in this process`);
    return binding;
  }

  has(providerId: string): boolean {
    return this.bindings.has(providerId);
  }

  get ids(): readonly string[] {
    return [...this.bindings.keys()];
  }
}
