import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { HostFacts } from '#contracts';
import { migGeometry, migProfile } from '#hardware';
import { freeParts, GPU_SHARES, partFor, partKinds, type PartKind } from './gpu-parts.js';
import { hostOffers } from './host-offers.js';
import { gpuFacts, withMig } from './hosts.fixture.js';
import type { HostRow, SlotRow } from './hosts.table.js';

const host: HostRow = {
  id: 'host_1',
  organizationId: 'org_1',
  providerId: 'prv_1',
  name: 'box',
  state: 'ready',
  region: 'lab',
  country: 'FI',
  slotCount: 2,
  pricePerSlotHour: 8_400_000_000n,
  timeSlices: 1,
  agentId: 'agt_1',
  createdAt: 0,
  version: 1,
  wakeAt: null,
};
const offered = (facts: HostFacts, over: Partial<HostRow> = {}, taken: readonly SlotRow[] = []) =>
  hostOffers({ ...host, ...over }, facts, taken, 0);
const named = (kinds: readonly PartKind[], name: string): PartKind => {
  const found = kinds.find((k) => k.name === name);
  if (!found) throw new Error(`no ${name}`);
  return found;
};
/** Takes parts one after the other until there is none; the rows. */
function takeAll(facts: HostFacts, timeSlices: number, slotCount: number, names: readonly string[]): SlotRow[] {
  const rows: SlotRow[] = [];
  for (const name of names) {
    const kind = partKinds(facts, timeSlices).find((k) => k.name === name);
    const part = kind && partFor(kind, facts, rows, slotCount);
    if (part) rows.push({ hostId: 'host_1', n: rows.length, ...part, leaseId: name, attemptId: 'att', claimedAt: 0 });
  }
  return rows;
}

describe('the parts that a host offers', () => {
  it('are the MIG instances that its agent found, with what each has and what it takes from the others', () => {
    const facts = withMig(gpuFacts(2), { 1: ['3g.40gb', '1g.10gb', '2g.20gb', '1g.10gb+me'] });
    const parts = offered(facts).filter((o) => o.isolation !== undefined);
    expect(parts.map((o) => [o.sku, o.isolation, o.count, o.vramGiB, o.stock, o.pricePerHour])).toEqual([
      ['box/1g.10gb', 'mig', 0.125, 10, 2, 1_200_000_000n],
      ['box/2g.20gb', 'mig', 0.25, 19.9, 1, 2_400_000_000n],
      ['box/3g.40gb', 'mig', 0.429, 39.8, 1, 4_200_000_000n],
    ]);
    expect(parts.every((o) => o.interconnect.intraNode === 'none' && o.accelerator === 'H100-SXM')).toBe(true);
    // The GPU that is cut cannot be had as a whole.
    expect(offered(facts).flatMap((o) => (o.isolation === undefined ? [[o.count, o.stock]] : []))).toEqual([[1, 1]]);
    expect(offered(withMig(gpuFacts(1), { 0: [] }), { slotCount: 1 })).toEqual([]);
  });

  it('are no instances that could not lie on one GPU, nor of a GPU whose profiles are not known', () => {
    expect(partKinds(withMig(gpuFacts(1), { 0: ['4g.40gb', '4g.40gb'] }), 1)).toEqual([]);
    expect(partKinds(withMig(gpuFacts(1), { 0: ['1c.3g.40gb'] }), 1)).toEqual([]);
    expect(partKinds(withMig(gpuFacts(1, 'NVIDIA L4', 24), { 0: ['1g.10gb'] }), 1)).toEqual([]);
  });

  it('are time slices where the provider wants them, beside the whole GPU and never beside each other', () => {
    const [one, two, slice] = offered(gpuFacts(2), { timeSlices: 4 });
    expect([one?.count, two?.count]).toEqual([1, 2]);
    expect(slice).toMatchObject({ sku: 'box/1of4', isolation: 'time-slice', count: 0.25, vramGiB: 19.9, stock: 8 });
    expect(slice?.pricePerHour).toBe(2_100_000_000n);
    const taken = takeAll(gpuFacts(2), 4, 2, ['1of4', '1of4']);
    expect(taken.map((s) => [s.gpuIndex, s.shareFrom, s.shareTo])).toEqual([
      [0, 0, 210],
      [0, 210, 420],
    ]);
    expect(offered(gpuFacts(2), { timeSlices: 4 }, taken).map((o) => o.stock)).toEqual([1, 0, 6]);
  });

  it('start no more GPUs than the host sells', () => {
    const facts = gpuFacts(4);
    const kind = named(partKinds(facts, 2), '1of2');
    const taken = takeAll(facts, 2, 2, ['1of2', '1of2', '1of2']);
    expect(new Set(taken.map((s) => s.gpuIndex)).size).toBe(2);
    expect(freeParts(kind, taken, 2)).toHaveLength(1);
    expect(
      partFor(
        kind,
        facts,
        takeAll(
          facts,
          2,
          2,
          Array.from({ length: 9 }, () => '1of2'),
        ),
        2,
      ),
    ).toBeNull();
  });

  it('fill the GPU with the least left, and begin one of the fullest NVLink domain', () => {
    const facts = {
      ...gpuFacts(4),
      linkDomains: [
        [0, 1],
        [2, 3],
      ],
    };
    const whole = { hostId: 'host_1', n: 0, gpuIndex: 2, shareFrom: 0, shareTo: GPU_SHARES, device: null };
    const kind = named(partKinds(facts, 2), '1of2');
    const first = partFor(kind, facts, [{ ...whole, leaseId: 'a', attemptId: 'b', claimedAt: 0 }], 4);
    expect(first?.gpuIndex).toBe(3);
  });

  it('that are gone from the machine while somebody has them keep their place from others', () => {
    const before = withMig(gpuFacts(1), { 0: ['3g.40gb', '3g.40gb'] });
    const taken = takeAll(before, 1, 1, ['3g.40gb']);
    const after = withMig(gpuFacts(1), { 0: ['1g.10gb', '1g.10gb', '1g.10gb', '1g.10gb', '1g.10gb'] });
    const free = freeParts(named(partKinds(after, 1), '1g.10gb'), taken, 1);
    expect(
      free.every((part) => part.shareTo <= (taken[0]?.shareFrom ?? 0) || part.shareFrom >= (taken[0]?.shareTo ?? 0)),
    ).toBe(true);
  });

  it('never overlap, hold to the placement rules and add up to one GPU at most, whatever is asked for in whatever order', () => {
    const profiles = ['1g.10gb', '1g.20gb', '2g.20gb', '3g.40gb', '4g.40gb', '7g.80gb'];
    const geometry = migGeometry('H100-SXM');
    if (!geometry) throw new Error('the H100 has profiles');
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.constantFrom(...profiles), { maxLength: 7 }), { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.nat(20), { maxLength: 25 }),
        (cuts, slices, asks) => {
          const facts = withMig(gpuFacts(cuts.length + 2), Object.fromEntries(cuts.map((cut, gpu) => [gpu, cut])));
          const names = partKinds(facts, slices).map((k) => k.name);
          const rows = takeAll(
            facts,
            slices,
            cuts.length + 2,
            asks.flatMap((n) => names[n % Math.max(1, names.length)] ?? []),
          );
          for (const [i, a] of rows.entries()) {
            for (const b of rows.slice(i + 1))
              expect(a.gpuIndex !== b.gpuIndex || a.shareTo <= b.shareFrom || b.shareTo <= a.shareFrom).toBe(true);
            const profile = a.device === null ? null : migProfile(geometry, a.leaseId);
            if (profile) expect(profile.starts).toContain((a.shareFrom * geometry.memorySlices) / GPU_SHARES);
          }
          for (const gpu of new Set(rows.map((s) => s.gpuIndex))) {
            const own = rows.filter((s) => s.gpuIndex === gpu);
            expect(own.reduce((sum, s) => sum + s.shareTo - s.shareFrom, 0)).toBeLessThanOrEqual(GPU_SHARES);
          }
          expect(new Set(rows.flatMap((s) => s.device ?? [])).size).toBe(rows.filter((s) => s.device !== null).length);
        },
      ),
      { numRuns: 60 },
    );
  });
});
