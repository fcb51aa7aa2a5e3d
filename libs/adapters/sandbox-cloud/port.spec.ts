import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '#kernel';
import { describeProviderConformance } from '#adapters/conformance';
import { SandboxCloud } from './cloud.js';
import { calmSkus, conformanceAbilities, conformanceSettings, rulesFor } from './conformance-rules.js';
import { sandboxPort } from './port.js';
import type { CloudSettings } from './sku.js';

function open(settings: Partial<CloudSettings>): Parameters<typeof describeProviderConformance>[1] {
  return () => {
    const clock = new ManualClock();
    const cloud = new SandboxCloud({
      clock,
      seed: 7,
      skus: calmSkus,
      settings: { ...conformanceSettings, ...settings },
    });
    return {
      port: sandboxPort(cloud, { providerId: 'prv_sandbox', clock }),
      now: () => clock.now(),
      advance: async (ms) => clock.advance(ms),
      inject: async (fault) => cloud.setFaults(rulesFor(fault)),
      createForeign: async () => {
        const request = {
          sku: 'l4-1x',
          region: 'us-east-1',
          name: 'foreign',
          clientToken: null,
          tags: {},
          bootstrap: null,
        };
        const answer = cloud.create(request);
        if (answer.kind !== 'done') throw new Error('the foreign machine could not be made');
        return answer.value.id;
      },
      close: async () => undefined,
    };
  };
}

describe('The list of the sandbox cloud', () => {
  it('carries the software that a machine type states, and none where it states none', async () => {
    const clock = new ManualClock();
    const [stated, silent] = calmSkus;
    if (!stated || !silent) throw new Error('the calm cloud sells two machine types');
    const software = { driver: '570.124.06', cuda: '12.8' };
    const cloud = new SandboxCloud({ clock, seed: 7, skus: [{ ...stated, software }, silent] });
    const offers = [];
    for await (const offer of sandboxPort(cloud, { providerId: 'prv_sandbox', clock }).listOffers()) offers.push(offer);
    expect(offers.map((o) => o.software)).toEqual([software, undefined]);
  });
});

describeProviderConformance('The sandbox core', open({}), conformanceAbilities);
describeProviderConformance('The sandbox core with client tokens', open({ clientTokens: true }), conformanceAbilities);
describeProviderConformance('The sandbox core that ends machines at once', open({ stopMs: 0 }), conformanceAbilities);
describeProviderConformance('The sandbox core with lagging reads', open({ windowMs: 30_000 }), conformanceAbilities);
