import type { ProviderKind } from '#contracts';
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

/** Machines of an offer that who asks has reserved and paid for. */
export interface OwnedMachines {
  readonly offerId: string;
  /** Not in use yet. */
  readonly remainingMachines: number;
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
  /** Dollars per GB taken out, by kind of provider. */
  readonly egressDollarsPerGB: Readonly<Record<ProviderKind, number>>;
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
 * List prices: hyperscalers charge about $0.09 for the first terabytes, most bare-metal plans include traffic,
 * node operators ask about $10 per terabyte.
 */
export const EGRESS_DOLLARS_PER_GB: Readonly<Record<ProviderKind, number>> = {
  hyperscaler: 0.09,
  'bare-metal': 0,
  decentralized: 0.01,
  serverless: 0,
};

/**
 * List prices of network block storage: hyperscalers about $0.08 (gp3) to $0.10, node operators $0.10, serverless volumes
 * $0.07; bare metal comes with its own disks.
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
    storageDollarsPerGBMonth: STORAGE_DOLLARS_PER_GB_MONTH,
    checkpointCostS: 0,
    limit: 20,
    nearMisses: false,
    ...given,
  };
}
