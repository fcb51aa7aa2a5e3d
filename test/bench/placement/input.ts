import {
  pricingModels,
  workloadSchema,
  type Objective,
  type Offer,
  type Workload,
  type WorkloadInput,
} from '#contracts';
import type { SeededRandom } from '#kernel';
import type { OfferChanges, OfferIndex } from '#market/placement';

const HOUR_MS = 3_600_000;

/**
 * `count` offers drawn from real ones: price, region, zone, stock, age and provider vary, the machines stay as they are.
 * The same seed gives the same offers. `first` is the number of the first one, for lists made in pages.
 */
export function syntheticOffers(
  real: readonly Offer[],
  count: number,
  nowMs: number,
  random: SeededRandom,
  first = 0,
): Offer[] {
  return Array.from({ length: count }, (_, n) => {
    const i = first + n;
    const o = random.pick(real);
    const cell = random.int(0, 11);
    const rentable = random.float() < 0.5;
    return {
      ...o,
      id: `${o.id}/${i.toString(36)}`,
      providerId: rentable ? `prv_${o.providerId}` : o.providerId,
      region: cell < 6 ? o.region : `${o.region}-${cell}`,
      zone: ['a', 'b', 'c', null][random.int(0, 3)] ?? null,
      pricePerHour: (o.pricePerHour * BigInt(random.int(700, 1_300))) / 1_000n,
      stock: random.float() < 0.5 ? null : random.int(0, 8),
      status: rentable ? 'rentable' : 'listed',
      observedAtMs: rentable ? nowMs - random.int(0, 40) * 60_000 : o.observedAtMs - random.int(0, 60) * 24 * HOUR_MS,
      confidence: Math.round(o.confidence * random.int(60, 100)) / 100,
    };
  });
}

/** Offers of the index with other prices and a fresh observation; a twentieth of them is gone and as many are new. */
export function changedOffers(index: OfferIndex, count: number, round: number, random: SeededRandom): OfferChanges {
  const upserts: Offer[] = [];
  const removedIds: string[] = [];
  for (let n = 0; n < count; n++) {
    const o = index.offerAt(random.int(0, index.size - 1));
    const isNew = n % 20 === 0;
    if (isNew) removedIds.push(o.id);
    upserts.push({
      ...o,
      id: isNew ? `${o.id}/${round}` : o.id,
      pricePerHour: o.pricePerHour + 1_000_000n,
      observedAtMs: o.observedAtMs + 60_000,
    });
  }
  return { upserts, removedIds };
}

const models = [['H100'], ['A100'], ['L4', 'T4', 'A10G'], ['H100', 'H200', 'B200'], ['RTX-4090'], ['MI300X']];

/** Workloads as tenants have them: sizes, kinds of work and constraints in many combinations. */
export function syntheticWorkloads(count: number, random: SeededRandom): Workload[] {
  return Array.from({ length: count }, () => {
    const gpus = random.pick([0, 1, 1, 1, 2, 4, 8, 8]);
    const constraints: NonNullable<WorkloadInput['constraints']> = {};
    if (random.float() < 0.2) constraints.pricing = [random.pick(pricingModels.slice(0, 2))];
    if (random.float() < 0.2) constraints.providerKinds = ['hyperscaler', 'bare-metal'];
    if (random.float() < 0.15) constraints.countries = ['US', 'DE', 'NL', 'FR'];
    if (random.float() < 0.2) constraints.maxPricePerHour = `${random.int(1, 60)}000000000`;
    if (random.float() < 0.2) constraints.maxTotal = `${random.int(5, 500)}000000000`;
    if (random.float() < 0.2) constraints.deadlineS = random.int(2, 100) * 3_600;
    return workloadSchema.parse({
      ...(gpus > 0
        ? {
            accelerator: {
              count: gpus,
              ...(random.float() < 0.4 ? { models: random.pick(models) } : {}),
              ...(random.float() < 0.3 ? { minVramGiB: random.pick([16, 24, 40, 80]) } : {}),
              ...(gpus > 1 && random.float() < 0.4 ? { interconnect: random.pick(['nvlink', 'nvswitch']) } : {}),
            },
          }
        : {}),
      nodes: random.float() < 0.1 ? random.pick([2, 4]) : 1,
      work: workOf(random),
      checkpointS: random.pick([60, 600, 3_600]),
      egressGB: random.pick([0, 0, 10, 500]),
      objective: random.pick<Objective>(['cheapest', 'balanced', 'reliable', 'fastest']),
      constraints,
    });
  });
}

function workOf(random: SeededRandom): NonNullable<WorkloadInput['work']> {
  const kind = random.int(0, 2);
  if (kind === 0) return { kind: 'wall-hours', hours: random.int(1, 48) };
  if (kind === 1)
    return { kind: 'gpu-hours', hours: random.int(1, 200), reference: random.pick(['A100-80GB-SXM', 'T4']) };
  const tokens = random.int(1, 100) * 1e7;
  return { kind: 'tokens', inputTokens: tokens, outputTokens: tokens / 2, parametersB: random.pick([0.5, 7, 13, 70]) };
}
