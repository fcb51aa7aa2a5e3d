/** The money of one tenant as plain arithmetic; no rooms, no database. Amounts in nano-dollars. */
export interface TenantBook {
  available: bigint;
  paidIn: bigint;
  granted: bigint;
  charged: bigint;
  exposure: bigint;
  cost: bigint;
  /** Of what was charged, what files cost: no budget counts that. */
  stored: bigint;
  /** Bytes times milliseconds that files were kept, and those of them that were metered. */
  keptByteMs: bigint;
  meteredByteMs: bigint;
  /** MB-hours of the free tier that are left, and those beyond it that were paid. */
  freeMbHours: bigint;
  paidMbHours: bigint;
  /** So far below zero the credit may go. */
  readonly limit: bigint;
  /** What invoices moved between the credit and what the tenant owes, and what credit notes gave back. */
  moved: bigint;
  receivable: bigint;
  /** Limits that an administrator has set: on what is spent in a month, and on jobs without a machine. Null: none. */
  budget: bigint | null;
  queue: bigint | null;
  /** What a card paid, in whole cents. */
  readonly cards: CardBook[];
  readonly jobs: JobBook[];
  /** Charges by month; a month is there as soon as time was metered in it. */
  readonly charges: Map<number, bigint>;
  /** Of these, what is on no invoice; the same months. */
  readonly unbilled: Map<number, bigint>;
  readonly invoices: InvoiceBook[];
  /** The months that are closed, in their order; those without usage too. */
  readonly months: number[];
}

export interface InvoiceBook {
  readonly month: number;
  readonly usage: ReadonlyMap<number, bigint>;
  readonly usageCents: bigint;
  readonly dueCents: bigint;
  readonly owed: bigint;
  paidCents: bigint;
  creditedCents: bigint;
  /** All that credit notes took back. */
  notedCents: bigint;
  state: 'open' | 'paid' | 'void';
}

export interface CardBook {
  readonly id: string;
  left: bigint;
}

export interface JobBook {
  /** Counts against the limit on jobs as long as it is open. */
  readonly queued: boolean;
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

/** What files cost in these histories: so many nano-dollars a GB-hour, beyond so many MB-hours. */
export const GB_HOUR_NANO = 70_000_003n;
export const FREE_MB_HOURS = 20_000n;

export const emptyBook = (limit = 0n): TenantBook => ({
  available: 0n,
  paidIn: 0n,
  granted: 0n,
  charged: 0n,
  exposure: 0n,
  cost: 0n,
  stored: 0n,
  keptByteMs: 0n,
  meteredByteMs: 0n,
  freeMbHours: FREE_MB_HOURS,
  paidMbHours: 0n,
  limit,
  moved: 0n,
  receivable: 0n,
  budget: null,
  queue: null,
  cards: [],
  jobs: [],
  charges: new Map(),
  unbilled: new Map(),
  invoices: [],
  months: [],
});

/** Price of `ms` at so much an hour, to the nearest nano-dollar, halves up. */
const priceOf = (perHour: bigint, ms: number): bigint => (2n * perHour * BigInt(ms) + 3_600_000n) / 7_200_000n;

/** The difference of two running totals, so that the parts of a lease add up to the whole however it is cut. */
const between = (perHour: bigint, lease: LeaseBook, toMs: number): bigint =>
  priceOf(perHour, toMs - lease.startMs) - priceOf(perHour, lease.throughMs - lease.startMs);

export const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);

export const heldBy = (book: TenantBook): bigint =>
  book.jobs.reduce((n, j) => n + j.remaining + j.leases.reduce((m, l) => m + l.remaining, 0n), 0n);

/** All that holds have taken from the budget and not given back, and files, which take no hold. */
export const spendOf = (book: TenantBook): bigint => heldBy(book) + book.charged;

export const queuedOf = (book: TenantBook): bigint => BigInt(book.jobs.filter((j) => j.open && j.queued).length);

/** Why so much cannot be set aside: what of credit is missing, or the limit that says no. */
export function refusalOf(book: TenantBook, amount: bigint, queued: boolean): { missing: bigint } | 'limit' | null {
  // What is owed on invoices counts against the limit; what costs nothing needs no credit.
  const room = book.available + positive(book.limit + book.receivable);
  if (amount > 0n && amount > room) return { missing: amount - room };
  if (book.budget !== null && amount > 0n && spendOf(book) + amount > book.budget) return 'limit';
  return queued && book.queue !== null && queuedOf(book) + 1n > book.queue ? 'limit' : null;
}

export function take(book: TenantBook, amount: bigint, queued: boolean): JobBook {
  book.available -= amount;
  const job: JobBook = { remaining: amount, open: true, queued, leases: [] };
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
  let covered = charged;
  for (let from = lease.throughMs; from < toMs; from = nextMonth(monthOf(from))) {
    const month = monthOf(from);
    const upTo = Math.min(toMs, nextMonth(month));
    const piece =
      priceOf(lease.chargePerHour, upTo - lease.startMs) - priceOf(lease.chargePerHour, from - lease.startMs);
    const paid = least(piece, covered);
    covered -= paid;
    for (const list of [book.charges, book.unbilled]) list.set(month, (list.get(month) ?? 0n) + paid);
  }
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

export const monthOf = (ms: number): number => Date.UTC(new Date(ms).getUTCFullYear(), new Date(ms).getUTCMonth(), 1);
export const nextMonth = (month: number): number =>
  Date.UTC(new Date(month).getUTCFullYear(), new Date(month).getUTCMonth() + 1, 1);

const CENT = 10_000_000n;
const cents = (nano: bigint): bigint => (2n * nano + CENT) / (2n * CENT);
const sum = (of: Iterable<bigint>): bigint => [...of].reduce((a, n) => a + n, 0n);
const positive = (n: bigint): bigint => (n > 0n ? n : 0n);

export const balanceOf = (book: TenantBook): bigint => book.paidIn + book.granted - book.charged + book.moved;

/** The invoice of a month, with everything up to it that is on no invoice yet; null: nothing was used. */
export function invoice(book: TenantBook, month: number): InvoiceBook | null {
  const usage = new Map([...book.unbilled].filter(([m]) => m <= month));
  if (usage.size === 0) return null;
  for (const m of usage.keys()) book.unbilled.delete(m);
  const total = sum(usage.values());
  const since = sum([...book.charges].filter(([m]) => m > month).map(([, n]) => n));
  const owed = least(positive(-(balanceOf(book) + since)), total);
  const dueCents = cents(owed);
  const made: InvoiceBook = {
    month,
    usage,
    usageCents: cents(total),
    dueCents,
    owed,
    paidCents: 0n,
    creditedCents: 0n,
    notedCents: 0n,
    state: dueCents > 0n ? 'open' : 'paid',
  };
  book.moved += owed;
  book.available += owed;
  book.receivable -= dueCents * CENT;
  book.invoices.push(made);
  return made;
}

const openOf = (i: InvoiceBook): bigint => i.dueCents - i.paidCents - i.creditedCents;

export function pay(book: TenantBook, invoice: InvoiceBook): void {
  book.receivable += openOf(invoice) * CENT;
  invoice.paidCents += openOf(invoice);
  invoice.state = 'paid';
}

/** Takes so much off what is to be paid, and gives the rest to the credit. */
export function correct(book: TenantBook, invoice: InvoiceBook, takenCents: bigint): void {
  const applied = least(takenCents, openOf(invoice));
  const back = (takenCents - applied) * CENT;
  invoice.notedCents += takenCents;
  invoice.creditedCents += applied;
  book.receivable += applied * CENT;
  book.moved += back;
  book.available += back;
  if (openOf(invoice) === 0n) invoice.state = 'paid';
}

/** Whether it could be: what it gave to the credit must still be there, and nothing may have been settled. */
export function annul(book: TenantBook, invoice: InvoiceBook): boolean {
  if (invoice.paidCents > 0n || invoice.notedCents > 0n || book.available - invoice.owed < -book.limit) return false;
  book.moved -= invoice.owed;
  book.available -= invoice.owed;
  book.receivable += invoice.dueCents * CENT;
  for (const [month, nano] of invoice.usage) book.unbilled.set(month, (book.unbilled.get(month) ?? 0n) + nano);
  invoice.state = 'void';
  return true;
}

const refundable = (book: TenantBook, card: CardBook): bigint => least(card.left, positive(book.available / CENT));

/** Gives credit back to the card that paid for it; false: so much is not there. */
export function refund(book: TenantBook, card: CardBook, cents: bigint): boolean {
  if (cents > refundable(book, card)) return false;
  card.left -= cents;
  book.available -= cents * CENT;
  book.paidIn -= cents * CENT;
  return true;
}

/** A card pays for credit. */
export function charge(book: TenantBook, id: string, cents: bigint): void {
  book.cards.push({ id, left: cents });
  book.available += cents * CENT;
  book.paidIn += cents * CENT;
}

/** An hour of files is metered and charged, all of it or, where the credit does not cover it, nothing; true: it was. */
export function store(book: TenantBook, hourMs: number): boolean {
  const mb = (byteMs: bigint): bigint => byteMs / 3_600_000_000_000n;
  const price = (units: bigint): bigint => (2n * GB_HOUR_NANO * units + 1_000n) / 2_000n;
  const quantity = mb(book.keptByteMs) - mb(book.meteredByteMs);
  const free = least(quantity, book.freeMbHours);
  const paid = book.paidMbHours + quantity - free;
  const amount = price(paid) - price(book.paidMbHours);
  if (amount > 0n && amount > book.available + positive(book.limit + book.receivable)) return false;
  book.meteredByteMs = book.keptByteMs;
  book.freeMbHours -= free;
  book.paidMbHours = paid;
  book.available -= amount;
  book.charged += amount;
  book.stored += amount;
  if (quantity === 0n) return true;
  const month = monthOf(hourMs);
  for (const list of [book.charges, book.unbilled]) list.set(month, (list.get(month) ?? 0n) + amount);
  return true;
}
