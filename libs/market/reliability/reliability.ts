import type { PricingModel, ProviderKind } from '#contracts';
import type { HazardBand } from '#market/survival';

/** What is believed about renting one kind of machine: plain data, so that decisions over it stay pure. */
export interface Reliability {
  /** Probability that one start does not end in a usable machine. */
  readonly startFailureP: number;
  /** Ascending by `untilH`; the last band reaches to infinity. */
  readonly hazardPerHourByAge: readonly HazardBand[];
  /** From the order to the first useful second: machine, agent, weights. */
  readonly bootS: number;
  /** The part of `bootS` that the vendor bills. */
  readonly bootBilledS: number;
  /** How long a start that fails takes, and how much of that is billed. */
  readonly failedStartS: number;
  readonly failedStartBilledS: number;
  /** From the loss of a machine until it is noticed. */
  readonly detectS: number;
  /** Where the figures come from, for the explanation. */
  readonly source: string;
  /** How much was seen here, and 80 % of the belief; absent where the figures are priors. */
  readonly seen?: {
    readonly starts: number;
    readonly losses: number;
    readonly failureInterval: readonly [number, number];
    /** Times the losses of its kind. */
    readonly hazardInterval: readonly [number, number];
  };
}

export type OfferVia = 'market' | 'host' | 'warm-lease';

export interface ReliabilityQuery {
  readonly providerKind: ProviderKind;
  readonly pricing: PricingModel;
  readonly providerId: string;
  /** Default `market`. A host's agent already runs; a warm lease is already booted. */
  readonly via?: OfferVia;
  /** Where given, what was seen there goes before what is believed of the provider as a whole. */
  readonly region?: string;
  readonly sku?: string;
  readonly hostId?: string | null;
}

/** What was seen of a provider, or of a region, SKU, way of pricing or host of it, and of what lies below. */
export interface ScopeBelief {
  /** Upon what is believed of the scope around it; the same object each time. */
  readonly own: Reliability;
  /** By the next name on the way down: region, SKU, pricing model, host. */
  readonly below: ReadonlyMap<string, ScopeBelief>;
}

/** A whole table of beliefs. `byProvider` (keyed `<providerId>/<pricing>`) goes before the kind's own row. */
export interface ReliabilityPriors {
  readonly byKind: Readonly<Record<ProviderKind, { readonly steady: Reliability; readonly spot: Reliability }>>;
  readonly byProvider: Readonly<Record<string, Reliability>>;
  /** Beliefs below the providers, by `providerScope`; absent where nothing was seen. */
  readonly byScope?: ReadonlyMap<string, ScopeBelief>;
  /** By way of renting, learnt from machines of one place that were lost together; absent where none were: the prior. */
  readonly gang?: { readonly spot?: GangBelief; readonly steady?: GangBelief };
}

/** How often a gang is lost. */
export interface GangBelief {
  /** The g of n^g: how many times as often n machines of one place are lost as one, at least one of them. */
  readonly exponent: number;
  /** Losses that it was learnt from; those within ten minutes are one. */
  readonly batches: number;
}
