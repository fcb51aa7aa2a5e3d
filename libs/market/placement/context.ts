import type { Offer, ProviderKind } from '#contracts';
import { defaultPriors, type ReliabilityPriors } from '#market/reliability';
import { hardwareSpeeds, type Speeds } from './cost/speeds.js';

/** Something that failed lately and is left alone until `untilMs`. Ids compare exactly. */
export interface CoolingDown {
  readonly scope:
    | { readonly kind: 'offer'; readonly offerId: string }
    | { readonly kind: 'zone'; readonly providerId: string; readonly zone: string }
    | { readonly kind: 'region'; readonly providerId: string; readonly region: string }
    | { readonly kind: 'account'; readonly providerId: string };
  readonly untilMs: number;
}

/** Machines of an offer that are reserved and paid for. */
export interface OwnedMachines {
  readonly offerId: string;
  /** Not in use yet. */
  readonly remainingMachines: number;
  readonly reservationId?: string;
  readonly untilMs?: number;
}

/** Everything besides offers and workload that a decision rests on. */
export interface PlacementContext {
  /** `market` compares all that is listed; `rentable` only what can be leased. */
  readonly scope: 'market' | 'rentable';
  readonly nowMs: number;
  /** Whose work it is; only its own warm leases fit. Null = nobody's (a preview). */
  readonly projectId: string | null;
  readonly speeds: Speeds;
  readonly reliability: ReliabilityPriors;
  /** Offers observed longer ago are stale, per `source` where given. Null = no limit. */
  readonly staleAfterMs: { readonly usual: number | null; readonly bySource: Readonly<Record<string, number>> };
  readonly coolingDown: readonly CoolingDown[];
  /** Cost nothing more until they are full; then the offer has its price again. */
  readonly owned: readonly OwnedMachines[];
  /** Dollars per GB taken out, by kind of provider; and of the providers whose own price is known. */
  readonly egressDollarsPerGB: Readonly<Record<ProviderKind, number>>;
  readonly egressDollarsPerGBAt: Readonly<Record<string, number>>;
  /** Dollars per GB and month of data kept beside the machine, by kind of provider. */
  readonly storageDollarsPerGBMonth: Readonly<Record<ProviderKind, number>>;
  /** Seconds that one checkpoint costs where the workload does not say it; 0 where results stream out by themselves. */
  readonly checkpointCostS: number;
  /** How many candidates to keep. */
  readonly limit: number;
  /** Whether to look for near misses too: a fifth to a third more time over large catalogs. */
  readonly nearMisses: boolean;
}

/** Rentable offers are synced every few minutes: half an hour without news means that nobody knows. */
export const RENTABLE_STALE_AFTER_MS = 30 * 60_000;

/**
 * List prices of 2026 to the internet. Hyperscalers: about $0.09 for the first terabytes. Most GPU clouds include traffic (CoreWeave and Nebius
 * say so of theirs, docs.coreweave.com/docs/pricing/pricing-storage). Node operators set their own, $0 to $0.06 at vast.ai, most near $0.01.
 * Serverless vendors publish none.
 */
export const EGRESS_DOLLARS_PER_GB: Readonly<Record<ProviderKind, number>> = {
  hyperscaler: 0.09,
  'bare-metal': 0,
  decentralized: 0.01,
  serverless: 0,
};

/**
 * First tier to the internet, from a region of the USA: EC2 and Azure after 100 GB a month, Google's premium tier; Oracle after 10 TB a month,
 * which another work of the month may have used up.
 */
export const EGRESS_DOLLARS_PER_GB_AT: Readonly<Record<string, number>> = {
  aws: 0.09,
  azure: 0.087,
  gcp: 0.12,
  'oracle-cloud': 0.0085,
};

/** What a GB costs that is taken out of a machine of that seller. */
export function egressDollarsPerGB(
  { egressDollarsPerGBAt: own, egressDollarsPerGB: usual }: PlacementContext,
  { providerId, providerKind }: Pick<Offer, 'providerId' | 'providerKind'>,
): number {
  return (Object.hasOwn(own, providerId) ? own[providerId] : undefined) ?? usual[providerKind];
}

/**
 * List prices of network storage: hyperscalers $0.08 (EBS gp3 in us-east-1) and above, serverless volumes $0.07 (RunPod's network volumes, the first
 * TB). Node operators set their own; $0.10 is a guess within what their asks show. Bare metal comes with its own disks, and only data that
 * outlives the machine costs more (CoreWeave's file storage $0.07).
 */
export const STORAGE_DOLLARS_PER_GB_MONTH: Readonly<Record<ProviderKind, number>> = {
  hyperscaler: 0.08,
  'bare-metal': 0,
  decentralized: 0.1,
  serverless: 0.07,
};

/** A context with the shipped tables; market previews know no stale limit, since price lists are records of a day. */
export function placementContext(
  given: Pick<PlacementContext, 'scope' | 'nowMs'> & Partial<PlacementContext>,
): PlacementContext {
  return {
    projectId: null,
    speeds: hardwareSpeeds,
    reliability: defaultPriors,
    staleAfterMs: { usual: given.scope === 'rentable' ? RENTABLE_STALE_AFTER_MS : null, bySource: {} },
    coolingDown: [],
    owned: [],
    egressDollarsPerGB: EGRESS_DOLLARS_PER_GB,
    egressDollarsPerGBAt: EGRESS_DOLLARS_PER_GB_AT,
    storageDollarsPerGBMonth: STORAGE_DOLLARS_PER_GB_MONTH,
    checkpointCostS: 0,
    limit: 20,
    nearMisses: false,
    ...given,
  };
}
