import { describe, expect, it } from '@jest/globals';
import { StaleVersion } from '#kernel';
import { createJobSchema } from '#contracts';
import { WORKER } from '#platform/database';
import { leases } from '#compute/leases';
import { openWorld } from '#testing/world';

describe('two that meter one lease', () => {
  it('the one with the older row is told that it came late, before it writes any usage', async () => {
    const world = await openWorld();
    await world.credit('25');
    const request = createJobSchema.parse({ spec: { kind: 'command', command: ['sleep'] } });
    const { organizationId, projectId, broker, store, clock } = world;
    broker.work.desired = () => Promise.resolve([]);
    await broker.jobs.submit({ organizationId, projectId, actor: WORKER, request });
    await world.run(70_000);
    const [lease] = await store.transaction(WORKER, (tx) => tx.find(leases, { state: 'ready' }));
    if (!lease) throw new Error('no lease is ready');
    clock.advance(5_000);
    const meter = (): Promise<void> =>
      store.transaction(WORKER, async (tx) => {
        const { patch } = await broker.leases.meter(tx, lease, clock.now());
        const moved = await tx.update(
          leases,
          { id: lease.id, version: lease.version },
          { ...patch, version: { add: 1 } },
        );
        if (moved.length === 0) throw new Error('too late: usage was written for an old row');
      });
    await meter();
    clock.advance(5_000);
    await expect(meter()).rejects.toThrow(StaleVersion);
  });
});
