import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { chargeBetween, HOUR, usd } from '#kernel';
import { match, type Comparison, type LeasedMachine, type MeteredCost, type Tolerance } from './match.js';
import type { VendorLine } from './read/index.js';

const START = Date.UTC(2026, 10, 1);
const TOLERANCE: Tolerance = { amountNano: usd('0.01'), ms: 60_000, bps: 50 };

let made = 0;
const line = (
  machineId: string | null,
  fromH: number,
  toH: number,
  amount: bigint,
  more: Partial<VendorLine> = {},
): VendorLine => ({
  n: ++made,
  key: `k${made}`,
  digest: '',
  machineIds: machineId === null ? [] : [machineId],
  what: 'machine',
  fromMs: START + fromH * HOUR,
  toMs: START + toH * HOUR,
  amountNano: amount,
  statedMs: (toH - fromH) * HOUR,
  ...more,
});
const machine = (leaseId: string, machineId: string, fromH: number, toH: number | null): LeasedMachine => ({
  leaseId,
  machineId,
  fromMs: START + fromH * HOUR,
  toMs: toH === null ? null : START + toH * HOUR,
});
const metered = (leaseId: string, hours: number, amount: bigint): MeteredCost => ({
  leaseId,
  amountNano: amount,
  ms: hours * HOUR,
  fromMs: START,
  toMs: START + hours * HOUR,
});
const short = (c: Comparison) => [c.kind, c.leaseId, c.machineId, c.vendorNano, c.oursNano];
const run = (lines: VendorLine[], machines: LeasedMachine[], costs: MeteredCost[]) =>
  match(lines, machines, costs, TOLERANCE).comparisons.map(short);

describe('a bill against what was metered', () => {
  it('agrees within the tolerance, and not beyond', () => {
    const of = (amount: string) =>
      run([line('m', 0, 2, usd(amount))], [machine('L', 'm', 0, 2)], [metered('L', 2, usd('4'))]);
    expect(of('4.02')).toEqual([['agreed', 'L', 'm', usd('4.02'), usd('4')]]);
    expect(of('4.020000001')[0]?.[0]).toBe('amount');
    expect(of('3.979')[0]?.[0]).toBe('amount');
  });

  it('tells time from price', () => {
    const lines = [line('m', 0, 1, usd('2')), line('m', 1, 2, usd('2')), line('m', 2, 3, usd('2'))];
    expect(run(lines, [machine('L', 'm', 0, 2)], [metered('L', 2, usd('4'))])).toEqual([
      ['duration', 'L', 'm', usd('6'), usd('4')],
    ]);
  });

  it('counts disk and network of a machine to its cost and not to its time', () => {
    const lines = [
      line('m', 0, 2, usd('3')),
      line('m', 0, 2, usd('0.5')),
      line('m', 0, 2, usd('0.5'), { statedMs: null }),
    ];
    expect(run(lines, [machine('L', 'm', 0, 2)], [metered('L', 2, usd('4'))])).toEqual([
      ['agreed', 'L', 'm', usd('4'), usd('4')],
    ]);
  });

  it('knows of windows only that the time lies in them', () => {
    const windows = (hours: number) =>
      Array.from({ length: hours }, (_, h) => line('m', h, h + 1, usd('4') / BigInt(hours), { statedMs: null }));
    const of = (hours: number, ran: number) =>
      run(windows(hours), [machine('L', 'm', 0, null)], [metered('L', ran, usd('4'))])[0]?.[0];
    expect([of(4, 4), of(4, 2.5), of(4, 1.5), of(4, 4.5)]).toEqual(['agreed', 'agreed', 'duration', 'duration']);
  });

  it('shares a line out between leases that had the machine one after the other', () => {
    const machines = [machine('A', 'm', 0, 0.25), machine('B', 'm', 0.25, 1)];
    const costs = [metered('A', 0.25, usd('1')), metered('B', 0.75, usd('3'))];
    expect(run([line('m', 0, 1, usd('4'))], machines, costs)).toEqual([
      ['agreed', 'A', 'm', usd('1'), usd('1')],
      ['agreed', 'B', 'm', usd('3'), usd('3')],
    ]);
  });

  it('finds a machine by any of its names, and one that nobody leased', () => {
    const lines = [
      line('m', 0, 1, usd('1'), { machineIds: ['arn:x/m', 'm'] }),
      line('x', 0, 1, usd('2')),
      line('x', 1, 2, usd('3')),
      line(null, 0, 24, usd('29'), { what: 'Support' }),
      // Of the same machine, long after its lease had ended.
      line('m', 9, 10, usd('7')),
    ];
    const found = match(
      lines,
      [machine('L', 'm', 0, 1)],
      [metered('L', 1, usd('1')), metered('M', 2, usd('8'))],
      TOLERANCE,
    );
    expect(found.comparisons.map(short)).toEqual([
      ['agreed', 'L', 'm', usd('1'), usd('1')],
      ['only-ours', 'M', null, 0n, usd('8')],
      ['only-at-vendor', null, null, usd('29'), 0n],
      ['only-at-vendor', null, 'x', usd('5'), 0n],
      ['only-at-vendor', null, 'm', usd('7'), 0n],
    ]);
    expect(found).toMatchObject({ totalNano: usd('42'), matchedNano: usd('1'), onlyAtVendorNano: usd('41') });
  });
});

/** What may be wrong with the bill of a lease. */
const faults = ['none', 'dropped', 'dearer', 'cheaper', 'longer', 'shorter', 'other-machine', 'noise'] as const;
const expected: Readonly<Record<(typeof faults)[number], readonly string[]>> = {
  none: ['agreed'],
  noise: ['agreed'],
  dropped: ['only-ours'],
  dearer: ['amount'],
  cheaper: ['amount'],
  longer: ['duration'],
  shorter: ['duration'],
  'other-machine': ['only-at-vendor', 'only-ours'],
};
const history = fc.array(
  fc.record({
    fault: fc.constantFrom(...faults),
    startS: fc.integer({ min: 0, max: 20 * 86_400 }),
    lengthS: fc.integer({ min: 7_200, max: 200_000 }),
    perHour: fc.bigInt({ min: usd('0.5'), max: usd('98.32') }),
    windowH: fc.constantFrom(1, 24),
    runs: fc.boolean(),
  }),
  { minLength: 1, maxLength: 12 },
);

describe('random months', () => {
  it('with perturbed bills: every perturbation is found and nothing else, and the sums are exact', () => {
    fc.assert(
      fc.property(history, fc.infiniteStream(fc.bigInt({ min: 1n, max: usd('50') })), (all, orphanCosts) => {
        const machines: LeasedMachine[] = [];
        const costs: MeteredCost[] = [];
        const lines: VendorLine[] = [];
        const wanted: string[] = [];
        let ours = 0n;
        all.forEach(({ fault, startS, lengthS, perHour, windowH, runs }, i) => {
          const [from, ms] = [START + startS * 1_000, lengthS * 1_000];
          const to = from + ms;
          machines.push({ leaseId: `L${i}`, machineId: `m${i}`, fromMs: from, toMs: runs ? null : to });
          const amountNano = chargeBetween(perHour, from, from, to);
          ours += amountNano;
          costs.push({ leaseId: `L${i}`, amountNano, ms, fromMs: from, toMs: to });
          wanted.push(...expected[fault].map((kind) => `${kind} ${i}`));
          if (fault === 'dropped') return;
          const end = fault === 'longer' ? to + ms / 4 : fault === 'shorter' ? to - ms / 4 : to;
          const percent = fault === 'dearer' ? 103n : fault === 'cheaper' ? 97n : 100n;
          const id = fault === 'other-machine' ? `x${i}` : `m${i}`;
          const window = windowH * HOUR;
          for (let at = from; at < end;) {
            const cut = Math.min(end, (Math.floor(at / window) + 1) * window);
            // The vendor's windows are whole; a lease that runs on past `to` is billed within them.
            const last = runs || cut < end ? cut : end;
            const noise = fault === 'noise' ? 1_000n : 0n;
            lines.push({
              ...line(id, 0, 0, (chargeBetween(perHour, from, at, cut) * percent) / 100n + noise),
              fromMs: at,
              toMs: last,
              statedMs: cut - at,
            });
            at = cut;
          }
        });
        // Orphans of the vendor: a machine and a service that nobody leased.
        const cost: bigint = orphanCosts.next().value ?? 1n;
        lines.push(line('stray', 5, 6, cost), line(null, 0, 1, -cost / 3n, { what: 'Credit' }));
        const found = match(lines, machines, costs, TOLERANCE);
        const label = (c: Comparison): string => {
          const name = (c.leaseId ?? c.machineId ?? c.what).replace(/^[Lx]/, '');
          return `${c.kind} ${name}`;
        };
        const late = (c: Comparison): boolean => c.kind === 'only-at-vendor' && /^m\d/.test(c.machineId ?? '');
        // What is billed after a lease ended has no lease: it is shown beside the lease that it lengthened.
        const shown = found.comparisons.filter((c) => !late(c)).map(label);
        const longer = all.flatMap(({ fault, runs }, i) => (fault === 'longer' && !runs ? [`${i}`] : []));
        const plain = (list: readonly string[]): string[] =>
          list.filter((text) => !longer.includes(text.split(' ')[1] ?? '')).toSorted();
        expect(plain(shown)).toEqual(plain([...wanted, 'only-at-vendor stray', 'only-at-vendor Credit']));
        for (const i of longer)
          expect(
            found.comparisons.some(
              (c) => (late(c) && c.machineId === `m${i}`) || (c.kind === 'duration' && c.leaseId === `L${i}`),
            ),
          ).toBe(true);
        const sum = (of: (c: Comparison) => bigint): bigint => found.comparisons.reduce((a, c) => a + of(c), 0n);
        expect(found.totalNano).toBe(lines.reduce((a, l) => a + l.amountNano, 0n));
        expect(found.matchedNano + found.onlyAtVendorNano).toBe(found.totalNano);
        expect(sum((c) => c.vendorNano)).toBe(found.totalNano);
        expect([found.meteredNano, sum((c) => c.oursNano)]).toEqual([ours, ours]);
      }),
      { numRuns: 300 },
    );
  });
});
