/** The money of one tenant as plain arithmetic; no rooms, no database. Amounts in nano-dollars. */
export interface TenantBook {
  available: bigint;
  paidIn: bigint;
  granted: bigint;
  charged: bigint;
  exposure: bigint;
  cost: bigint;
  readonly jobs: JobBook[];
}

export interface JobBook {
  remaining: bigint;
  open: boolean;
  readonly leases: LeaseBook[];
}

export interface LeaseBook {
  remaining: bigint;
  open: boolean;
  readonly chargePerHour: bigint;
  readonly costPerHour: bigint;
  readonly startMs: number;
  throughMs: number;
  /** Starts of what was metered, for those who send it again. */
  readonly metered: { fromMs: number; toMs: number }[];
}

export const emptyBook = (): TenantBook => ({
  available: 0n,
  paidIn: 0n,
  granted: 0n,
  charged: 0n,
  exposure: 0n,
  cost: 0n,
  jobs: [],
});

/** Price of `ms` at so much an hour, to the nearest nano-dollar, halves up. */
const priceOf = (perHour: bigint, ms: number): bigint => (2n * perHour * BigInt(ms) + 3_600_000n) / 7_200_000n;

/** The difference of two running totals, so that the parts of a lease add up to the whole however it is cut. */
const between = (perHour: bigint, lease: LeaseBook, toMs: number): bigint =>
  priceOf(perHour, toMs - lease.startMs) - priceOf(perHour, lease.throughMs - lease.startMs);

export const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);

export const heldBy = (book: TenantBook): bigint =>
  book.jobs.reduce((n, j) => n + j.remaining + j.leases.reduce((m, l) => m + l.remaining, 0n), 0n);

/** Sets aside, or says how much is missing. */
export function take(book: TenantBook, amount: bigint): JobBook | { missing: bigint } {
  if (amount > book.available) return { missing: amount - book.available };
  book.available -= amount;
  const job: JobBook = { remaining: amount, open: true, leases: [] };
  book.jobs.push(job);
  return job;
}

export function carve(
  job: JobBook,
  amount: bigint,
  rates: Pick<LeaseBook, 'chargePerHour' | 'costPerHour'>,
  startMs: number,
): LeaseBook | null {
  if (!job.open || job.remaining < amount) return null;
  job.remaining -= amount;
  const lease: LeaseBook = { remaining: amount, open: true, ...rates, startMs, throughMs: startMs, metered: [] };
  job.leases.push(lease);
  return lease;
}

export function renew(job: JobBook, lease: LeaseBook, wanted: bigint): bigint {
  const moved = lease.open && job.open ? least(wanted, job.remaining) : 0n;
  job.remaining -= moved;
  lease.remaining += moved;
  return moved;
}

/** The tenant pays as far as the lease's hold goes, the broker bears the rest, the provider is owed all of its cost. */
export function meter(
  book: TenantBook,
  lease: LeaseBook,
  toMs: number,
): { charged: bigint; exposure: bigint; cost: bigint } {
  const full = between(lease.chargePerHour, lease, toMs);
  const cost = between(lease.costPerHour, lease, toMs);
  const charged = lease.open ? least(full, lease.remaining) : 0n;
  lease.remaining -= charged;
  lease.metered.push({ fromMs: lease.throughMs, toMs });
  lease.throughMs = toMs;
  book.charged += charged;
  book.exposure += full - charged;
  book.cost += cost;
  return { charged, exposure: full - charged, cost };
}

export function endLease(book: TenantBook, job: JobBook, lease: LeaseBook): void {
  if (!lease.open) return;
  lease.open = false;
  if (job.open) job.remaining += lease.remaining;
  else book.available += lease.remaining;
  lease.remaining = 0n;
}

export function endJob(book: TenantBook, job: JobBook): void {
  if (!job.open) return;
  job.open = false;
  book.available += job.remaining;
  job.remaining = 0n;
}
