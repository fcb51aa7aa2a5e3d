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
  private look: () => Promise<void> = () => Promise.resolve();

  bind(providerId: string, binding: VendorBinding): void {
    this.bindings.set(providerId, binding);
  }

  of(providerId: string): VendorBinding {
    const binding = this.bindings.get(providerId);
    if (!binding) throw new Error(`provider ${providerId} is not bound to an adapter in this process`);
    return binding;
  }

  /** What binds providers that were connected since the last look, by another process perhaps. */
  onMissing(look: () => Promise<void>): void {
    this.look = look;
  }

  /** The binding of a provider that may be newer than the last look. */
  async find(providerId: string): Promise<VendorBinding> {
    if (!this.has(providerId)) await this.look();
    return this.of(providerId);
  }

  has(providerId: string): boolean {
    return this.bindings.has(providerId);
  }

  get ids(): readonly string[] {
    return [...this.bindings.keys()];
  }
}
