import { divRound, HOUR } from '#kernel';
import type { PriceTerms } from '#contracts';
import { discounted } from '#money/rating';

const MB = 1_000_000n;
/** Bytes times milliseconds in one MB-hour. */
const MB_HOUR = MB * BigInt(HOUR);

/** Complete MB-hours of bytes that were kept for milliseconds. */
export const mbHours = (byteMs: bigint): bigint => byteMs / MB_HOUR;

/** What one unit of each kind costs and how much of it a month gives free. */
export interface UnitPrice {
  /** Nano-dollars per GB-hour, or per GB sent. */
  readonly perGb: bigint;
  /** Quantity units in a GB: MB-hours, or bytes. */
  readonly unitsPerGb: bigint;
  readonly freeUnits: bigint;
}

export interface StoragePrices {
  readonly kept: UnitPrice;
  readonly sent: UnitPrice;
}

/** Prices of files kept and sent, after a discount; a book that does not say them charges nothing. */
export function storagePrices(terms: PriceTerms | null, discountBps = 0): StoragePrices {
  const { gbHour = '0', egressGb = '0', freeGbHours = '0', freeEgressGb = '0' } = terms?.storage ?? {};
  return {
    kept: {
      perGb: discounted(BigInt(gbHour), discountBps),
      unitsPerGb: 1_000n,
      freeUnits: BigInt(freeGbHours) * 1_000n,
    },
    sent: {
      perGb: discounted(BigInt(egressGb), discountBps),
      unitsPerGb: 1_000n * MB,
      freeUnits: BigInt(freeEgressGb) * 1_000n * MB,
    },
  };
}

export interface RatedUnits {
  readonly free: bigint;
  readonly paid: bigint;
  readonly amountNano: bigint;
}

/**
 * What of a quantity the free tier still covers, and the price of the rest. The amount is a difference of cumulative roundings over the
 * month, so however a month is cut, the parts add up to the price of the whole.
 */
export function rateUnits(
  price: UnitPrice,
  quantity: bigint,
  before: {
    /** Of the free tier, by all projects. */ readonly freeUsed: bigint;
    /** By this project beyond it. */ readonly paid: bigint;
  },
): RatedUnits {
  if (quantity < 0n) throw new RangeError('a quantity cannot be negative');
  const left = price.freeUnits - before.freeUsed;
  const free = left <= 0n ? 0n : quantity < left ? quantity : left;
  const paid = quantity - free;
  const upTo = (units: bigint): bigint => divRound(price.perGb * units, price.unitsPerGb);
  return { free, paid, amountNano: upTo(before.paid + paid) - upTo(before.paid) };
}
