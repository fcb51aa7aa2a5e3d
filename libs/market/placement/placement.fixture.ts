import fc from 'fast-check';
import { providerKinds, workloadSchema, type Offer, type Workload, type WorkloadInput } from '#contracts';
import { usd } from '#kernel';
import {
  defaultPriors,
  providerScope,
  type Reliability,
  type ReliabilityPriors,
  type ScopeBelief,
} from '#market/reliability';
import { placementContext, type PlacementContext } from './context.js';

/** Offers, workloads and beliefs for the specs of this room. */
export const NOW = Date.UTC(2026, 7, 1);

export function offerWith(over: Partial<Offer> = {}): Offer {
  return {
    id: 'list:acme/a100x1/us-east1/on-demand',
    providerId: 'acme',
    providerKind: 'hyperscaler',
    sku: 'a100x1',
    region: 'us-east1',
    zone: null,
    country: 'US',
    accelerator: 'A100-80GB-SXM',
    acceleratorVendor: 'nvidia',
    count: 1,
    vramGiB: 80,
    interconnect: { intraNode: 'nvswitch', intraNodeGBps: 600, interNode: 'unknown', interNodeGbps: null },
    vcpus: 12,
    ramGiB: 85,
    pricing: 'on-demand',
    pricePerHour: usd('2'),
    billing: { minimumS: 0, incrementS: 1 },
    stock: null,
    status: 'rentable',
    source: 'list',
    observedAtMs: NOW,
    confidence: 1,
    doubts: [],
    certifications: [],
    via: { kind: 'market' },
    ...over,
  };
}

export const workloadWith = (over: WorkloadInput = {}): Workload => workloadSchema.parse(over);

/** Machines that always start at once and are never lost. */
export const perfect: Reliability = {
  startFailureP: 0,
  hazardPerHourByAge: [{ untilH: Infinity, perHour: 0 }],
  bootS: 0,
  bootBilledS: 0,
  failedStartS: 0,
  failedStartBilledS: 0,
  detectS: 0,
  source: 'spec',
};

export function priorsOf(reliability: Reliability): ReliabilityPriors {
  const row = { steady: reliability, spot: reliability };
  return {
    byKind: { hyperscaler: row, 'bare-metal': row, decentralized: row, serverless: row },
    byProvider: {},
  };
}

export const contextWith = (over: Partial<PlacementContext> = {}): PlacementContext =>
  placementContext({ scope: 'market', nowMs: NOW, reliability: defaultPriors, nearMisses: true, ...over });

const machines = [
  { accelerator: 'CPU', acceleratorVendor: 'cpu', vramGiB: 0, counts: [0], link: 'none' },
  { accelerator: 'T4', acceleratorVendor: 'nvidia', vramGiB: 16, counts: [1, 4], link: 'pcie3' },
  { accelerator: 'L4', acceleratorVendor: 'nvidia', vramGiB: 24, counts: [0.5, 1, 8], link: 'pcie4' },
  { accelerator: 'A100-80GB-PCIe', acceleratorVendor: 'nvidia', vramGiB: 80, counts: [1, 8], link: 'pcie4' },
  { accelerator: 'A100-80GB-SXM', acceleratorVendor: 'nvidia', vramGiB: 80, counts: [1, 8], link: 'nvswitch' },
  { accelerator: 'H100-SXM', acceleratorVendor: 'nvidia', vramGiB: 80, counts: [1, 2, 8], link: 'nvswitch' },
  { accelerator: 'MI300X', acceleratorVendor: 'amd', vramGiB: 192, counts: [8], link: 'xgmi' },
  { accelerator: 'Mystery-9000', acceleratorVendor: 'nvidia', vramGiB: 48, counts: [1], link: 'unknown' },
] as const;

const rare = (n: number): fc.Arbitrary<boolean> => fc.integer({ min: 1, max: n }).map((x) => x === n);

/** Any offer, good and bad; ids are set by `anyOffers`. */
const anyOffer: fc.Arbitrary<Offer> = fc
  .record({
    machine: fc.constantFrom(...machines),
    countAt: fc.nat(),
    cents: fc.integer({ min: 0, max: 9_900 }),
    providerId: fc.constantFrom('acme', 'borealis', 'cumulus', 'prv_d'),
    providerKind: fc.constantFrom('hyperscaler', 'bare-metal', 'decentralized', 'serverless' as const),
    region: fc.constantFrom('us-east1', 'eu-west1', 'ap-south1'),
    zone: fc.constantFrom('a', 'b', null),
    country: fc.constantFrom('US', 'DE', null),
    pricing: fc.constantFrom('on-demand', 'spot', 'reserved-1y' as const),
    billing: fc.constantFrom(
      { minimumS: 0, incrementS: 1 },
      { minimumS: 60, incrementS: 60 },
      { minimumS: 0, incrementS: 3_600 },
    ),
    stock: fc.constantFrom(null, null, 0, 1, 4),
    rentable: fc.constantFrom(true, true, false),
    ageMin: fc.constantFrom(0, 1, 5, 45, 100_000),
    confidence: fc.constantFrom(0.3, 0.8, 1),
    doubtful: rare(6),
    certifications: fc.constantFrom<string[][]>([], ['soc2'], ['soc2', 'hipaa']),
    fabric: fc.constantFrom('unknown', 'ethernet', 'infiniband' as const),
    via: fc.constantFrom<Offer['via'][]>(
      { kind: 'market' },
      { kind: 'host', hostId: 'host_1' },
      { kind: 'warm-lease', leaseId: 'lease_1', projectId: 'prj_mine' },
      { kind: 'warm-lease', leaseId: 'lease_2', projectId: 'prj_other' },
    ),
  })
  .map((x) =>
    offerWith({
      accelerator: x.machine.accelerator,
      acceleratorVendor: x.machine.acceleratorVendor,
      vramGiB: x.machine.vramGiB,
      count: x.machine.counts[x.countAt % x.machine.counts.length] ?? 1,
      interconnect: {
        intraNode: x.machine.link,
        intraNodeGBps: null,
        interNode: x.fabric,
        interNodeGbps: x.fabric === 'ethernet' ? 100 : null,
      },
      providerId: x.providerId,
      providerKind: x.providerKind,
      region: x.region,
      zone: x.zone,
      country: x.country,
      pricing: x.pricing,
      billing: x.billing,
      pricePerHour: BigInt(x.cents) * 10_000_000n,
      stock: x.stock,
      status: x.rentable ? 'rentable' : 'listed',
      source: x.rentable ? 'sync' : 'list',
      observedAtMs: NOW - x.ageMin * 60_000,
      confidence: x.confidence,
      doubts: x.doubtful ? ['the price is not plausible'] : [],
      certifications: x.certifications,
      via: x.via,
    }),
  );

export const anyOffers: fc.Arbitrary<Offer[]> = fc
  .array(anyOffer, { maxLength: 60, size: 'max' })
  .map((offers) => offers.map((o, i) => ({ ...o, id: `list:${i}/${o.providerId}` })));

/** Present one time in eight, so that most workloads still fit many offers. */
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

/** Any workload; most constraints absent most of the time. */
export const anyWorkload: fc.Arbitrary<Workload> = fc
  .record({
    accelerator: fc.constantFrom<WorkloadInput['accelerator'][]>(
      undefined,
      undefined,
      { count: 1 },
      { count: 1 },
      { count: 1, minVramGiB: 40 },
      { count: 2, interconnect: 'nvlink' },
      { count: 8, interconnect: 'nvswitch' },
      { count: 1, models: ['H100', 'A100'] },
    ),
    nodes: fc.constantFrom(1, 1, 1, 1, 1, 2),
    work: fc.constantFrom<NonNullable<WorkloadInput['work']>[]>(
      { kind: 'wall-hours', hours: 2 },
      { kind: 'gpu-hours', hours: 20, reference: 'A100-80GB-SXM' },
      { kind: 'tokens', inputTokens: 1e8, outputTokens: 1e8, parametersB: 7 },
      { kind: 'tokens', inputTokens: 1e8, outputTokens: 1e8, parametersB: 70 },
    ),
    objective: fc.constantFrom('cheapest', 'balanced', 'reliable', 'fastest' as const),
    egressGB: fc.constantFrom(0, 100),
    regions: maybe(fc.constant(['us-east1'])),
    countries: maybe(fc.constant(['de', 'US'])),
    pricing: maybe(fc.constant<'spot'[]>(['spot'])),
    certifications: maybe(fc.constant(['SOC2'])),
    maxPricePerHour: maybe(fc.constant('20000000000')),
    maxTotal: maybe(fc.constant('30000000000')),
    deadlineS: maybe(fc.constant(20_000)),
  })
  .map((x) => {
    const { accelerator, nodes, work, objective, egressGB, ...wishes } = x;
    const constraints = Object.fromEntries(Object.entries(wishes).filter(([, v]) => v !== undefined));
    return workloadWith({ ...(accelerator ? { accelerator } : {}), nodes, work, objective, egressGB, constraints });
  });

/** A belief that differs from its kind's, and what lies below it. */
function scopeWith(startFailureP: number, below: Record<string, ScopeBelief> = {}): ScopeBelief {
  const own = { ...defaultPriors.byKind.hyperscaler.spot, startFailureP, source: 'seen in a spec' };
  return { own, below: new Map(Object.entries(below)) };
}

/** One region of acme in which much was seen, down to a host; the rest is known as a whole or not at all. */
export const learntScopes: ReadonlyMap<string, ScopeBelief> = new Map(
  providerKinds.flatMap((providerKind) =>
    (['on-demand', 'spot'] as const).map((pricing): [string, ScopeBelief] => [
      providerScope({ providerKind, pricing, providerId: 'acme' }),
      scopeWith(0.3, {
        'us-east1': scopeWith(0.4, {
          a100x1: scopeWith(0.5, { [pricing]: scopeWith(0.6, { host_1: scopeWith(0.9) }) }),
        }),
        'eu-west1': scopeWith(0.1),
      }),
    ]),
  ),
);

export const anyContext: fc.Arbitrary<PlacementContext> = fc
  .record({
    scope: fc.constantFrom('market', 'rentable' as const),
    cooling: fc.boolean(),
    own: fc.boolean(),
    learnt: fc.boolean(),
  })
  .map(({ scope, cooling, own, learnt }) =>
    placementContext({
      reliability: learnt ? { ...defaultPriors, byScope: learntScopes } : defaultPriors,
      scope,
      nowMs: NOW,
      nearMisses: true,
      projectId: own ? 'prj_mine' : null,
      egressDollarsPerGBAt: { borealis: 0.01 },
      coolingDown: cooling
        ? [
            { scope: { kind: 'offer', offerId: 'list:0/acme' }, untilMs: NOW + 1 },
            { scope: { kind: 'region', providerId: 'borealis', region: 'us-east1' }, untilMs: NOW + 1 },
            { scope: { kind: 'zone', providerId: 'cumulus', zone: 'a' }, untilMs: NOW + 1 },
            { scope: { kind: 'account', providerId: 'prv_d' }, untilMs: NOW },
          ]
        : [],
    }),
  );
