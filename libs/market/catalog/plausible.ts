import {
  interNodeFabrics,
  intraNodeLinks,
  pricePerGpuHour,
  pricingModels,
  providerKinds,
  type Offer,
} from '#contracts';

/** What one accelerator-hour costs among comparable offers: same accelerator, same pricing. */
export interface PriceNorm {
  readonly accelerator: string;
  readonly pricing: string;
  /** Nano-dollars. */
  readonly median: bigint;
  readonly offers: number;
}

/** With fewer offers than this nobody knows what is usual. */
export const NORM_LEAST_OFFERS = 5;
/** Cheaper than a tenth, or dearer than ten times what is usual, is a slip of the decimal point or another thing that is sold. */
const FAR = 10n;
/** No machine of any vendor costs as much; such numbers are placeholders. Nano-dollars per hour. */
const MOST_PER_HOUR = 100_000n * 1_000_000_000n;

export const normKey = (of: { readonly accelerator: string; readonly pricing: string }): string =>
  `${of.accelerator} ${of.pricing}`;

/**
 * Why an offer must be kept aside: null for one that may be true. `norms` are over what is in the catalog already, so that a list in which
 * every price is wrong does not become what is usual.
 */
export function implausible(offer: Offer, norms: ReadonlyMap<string, PriceNorm>): string | null {
  const malformed = malformedField(offer);
  if (malformed !== null) return malformed;
  if (offer.pricePerHour < 0n) return 'the price is negative';
  if (offer.pricePerHour === 0n) return 'the price is zero';
  if (offer.pricePerHour > MOST_PER_HOUR) return 'the price is above $100,000 an hour';
  const each = pricePerGpuHour(offer);
  const norm = norms.get(normKey(offer));
  if (each === null || !norm || norm.offers < NORM_LEAST_OFFERS) return null;
  const usual = `the median of ${norm.offers} offers of ${offer.accelerator} (${offer.pricing}), ${dollarsOf(norm.median)}`;
  if (each * FAR < norm.median) return `${dollarsOf(each)} per accelerator-hour is below a tenth of ${usual}`;
  if (each > norm.median * FAR) return `${dollarsOf(each)} per accelerator-hour is above ten times ${usual}`;
  return null;
}

/** Whether a row is nonsense in itself, whatever it costs. */
export function malformedField(o: Offer): string | null {
  const bad = (name: string): string => `${name} makes no sense`;
  if (o.id === '' || o.id !== storable(o.id)) return bad('the id');
  if (!isClean(o)) return bad('the text');
  if (!(o.observedAtMs >= FIRST_TIME_MS && o.observedAtMs < END_OF_TIME_MS)) return bad('the time of observation');
  if (!isAcceleratorCount(o.count)) return bad('the count of accelerators');
  if (!Number.isFinite(o.vramGiB) || o.vramGiB < 0 || o.vramGiB > 10_000) return bad('the memory of an accelerator');
  if (o.vcpus !== null && !(o.vcpus > 0 && o.vcpus <= 100_000)) return bad('the number of vCPUs');
  if (o.ramGiB !== null && !(o.ramGiB > 0 && o.ramGiB <= 1_000_000)) return bad('the memory of the machine');
  if (!isOneOf(intraNodeLinks, o.interconnect.intraNode)) return bad('the link between accelerators');
  if (!isOneOf(interNodeFabrics, o.interconnect.interNode)) return bad('the network');
  if (!isSpeed(o.interconnect.intraNodeGBps)) return bad('the speed between accelerators');
  if (!isSpeed(o.interconnect.interNodeGbps)) return bad('the speed of the network');
  if (!isOneOf(pricingModels, o.pricing)) return bad('the pricing');
  if (!isOneOf(providerKinds, o.providerKind)) return bad('the kind of the provider');
  if (!isBilledTime(o.billing.minimumS) || !isBilledTime(o.billing.incrementS)) return bad('the billing');
  if (!(o.confidence >= 0 && o.confidence <= 1)) return bad('the confidence');
  if (o.stock !== null && !(Number.isInteger(o.stock) && o.stock >= 0 && o.stock < 2 ** 31)) return bad('the stock');
  return null;
}

/** Whether a machine can have so many accelerators: none, a part of one that a price can be divided by, or some. NaN and infinity are none. */
export const isAcceleratorCount = (count: number): boolean => count === 0 || (count >= LEAST_PART && count <= 1_024);
const LEAST_PART = 0.001;

/** Content of a file can end up where a type promises a number. */
const isSpeed = (value: unknown): boolean =>
  value === null || (typeof value === 'number' && value >= 0 && value <= MOST_SPEED);
/** No link is as fast, in GB/s or Gbit/s. */
const MOST_SPEED = 1_000_000;

/** What no word of ours means cannot be reckoned with. */
const isOneOf = (words: readonly string[], value: unknown): boolean => words.some((word) => word === value);

/** No vendor bills three years at least, or in such steps: costs reckoned with it would be no numbers any more. */
const isBilledTime = (seconds: number): boolean => seconds >= 0 && seconds <= MOST_BILLED_S;
const MOST_BILLED_S = 3 * 365 * 86_400;

/** Nobody sold hours of GPUs before, and a time is told with a year of four digits. */
const FIRST_TIME_MS = Date.UTC(2000, 0);
const END_OF_TIME_MS = Date.UTC(10_000, 0);
const MOST_CHARACTERS = 400;
/** Characters that the database takes in no text: NUL and halves of pairs. */
const UNSTORABLE = /\0|\p{Surrogate}/gu;

/** A text as it can be kept. */
export const storable = (text: string): string => text.replace(UNSTORABLE, '\uFFFD').slice(0, MOST_CHARACTERS);

/** Whether no text of a row, however deep, holds what cannot be stored. */
function isClean(value: unknown): boolean {
  if (typeof value === 'string') return value.search(UNSTORABLE) < 0;
  return typeof value !== 'object' || value === null || Object.values(value).every(isClean);
}

const dollarsOf = (nano: bigint): string => `$${(Number(nano) / 1e9).toPrecision(3)}`;
