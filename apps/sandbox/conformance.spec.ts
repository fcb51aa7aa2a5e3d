import { ManualClock } from '#kernel';
import { describeProviderConformance } from '#adapters/conformance';
import { SandboxProvider } from '#adapters/sandbox';
import { conformanceAbilities, conformanceSettings, rulesFor } from '#adapters/sandbox-cloud';
import type { SandboxOptions } from './options.js';
import { startSandbox } from './start.js';

function open(options: SandboxOptions): Parameters<typeof describeProviderConformance>[1] {
  return async () => {
    const clock = new ManualClock();
    const { pageSize = 3 } = conformanceSettings;
    const sandbox = await startSandbox({ stock: 1_000, pageSize, key: 'k', ...options }, { clock });
    return {
      port: new SandboxProvider({
        baseUrl: sandbox.url,
        apiKey: 'k',
        providerId: 'prv_sandbox',
        clock,
        description: { clientTokens: options.clientTokens ?? false },
      }),
      now: () => clock.now(),
      advance: async (ms) => clock.advance(ms),
      inject: async (fault) => sandbox.cloud.setFaults(rulesFor(fault)),
      createForeign: async () => {
        const response = await fetch(`${sandbox.url}/v1/machines`, {
          method: 'POST',
          headers: { authorization: 'Bearer k' },
          body: JSON.stringify({ sku: 'l4-1x', region: 'us-east-1', name: 'foreign' }),
        });
        const { id } = (await response.json()) as { id: string };
        return id;
      },
      close: () => sandbox.close(),
    };
  };
}

describeProviderConformance('The sandbox over HTTP', open({}), conformanceAbilities);
describeProviderConformance(
  'The sandbox over HTTP with client tokens',
  open({ clientTokens: true }),
  conformanceAbilities,
);
