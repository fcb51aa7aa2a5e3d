import { chargeBetween, DAY, DomainError, formatUsd, HOUR, splitByLargestRemainder } from '#kernel';
import { within, type Actor, type Tx } from '#platform/database';
import { account, entries, transactions } from '#money/ledger';
import { usageRecords, type UsageRow } from '#money/metering';
import { firstSpent, grants, grantsLeftAt } from '#money/quotas';
import { chargePerHour, commitmentBpsAt, commitments, type Promised } from '#money/rating';
import { leases, type LeaseRow } from './leases.table.js';

/** What of one thing was used within one hour, at one price, and why it cost that. */
export interface ExplainedLine {
  readonly projectId: string;
  readonly leaseId: string | null;
  readonly jobId: string | null;
  readonly meter: string;
  readonly resource: string;
  readonly model: string | null;
  readonly providerClass: string | null;
  readonly quantity: bigint;
  readonly unit: string;
  readonly unitPriceNano: bigint;
  readonly amountNano: bigint;
  readonly why: string;
}

export interface ExplainedHour {
  /** First instant; before the day where time of the evening before was metered after midnight. */
  readonly at: number;
  readonly lines: readonly ExplainedLine[];
  readonly amountNano: bigint;
}

export interface ExplainedDay {
  readonly hours: readonly ExplainedHour[];
  /** The day's charge: what usage by the day says. */
  readonly chargedNano: bigint;
  /** Given back, and starts that failed, which cost nothing. */
  readonly notes: readonly { readonly leaseId: string; readonly creditNano: bigint; readonly why: string }[];
  /**
   * Promotional grants in force on the day, in the order in which they are spent: those that had something left at its start, and those that came
   * in on it. Those that ended without having paid anything are left out.
   */
  readonly grants: readonly {
    readonly id: string;
    readonly reference: string;
    readonly amountNano: bigint;
    readonly expiresAt: number | null;
  }[];
}

/** Records of one day that are explained one by one. */
const RECORDS_MAX = 100_000;

type Known = Pick<LeaseRow, 'id' | 'costPerHour' | 'basisPerHour' | 'chargeTerms' | 'requestedAt'>;

/**
 * A day (UTC) hour by hour: time on machines is shown in the hours in which it passed, split by largest remainder, so that the lines of
 * all hours add up to exactly what the day's records charge; everything else stands in the hour of its last millisecond.
 */
export function explainHours(
  records: readonly UsageRow[],
  leasesOf: ReadonlyMap<string, Known>,
  promised: readonly Promised[],
): ExplainedHour[] {
  const hours = new Map<number, Map<string, ExplainedLine>>();
  for (const r of records) {
    const lease = r.leaseId === null ? undefined : leasesOf.get(r.leaseId);
    for (const { at, quantity, amountNano } of inHours(r)) {
      const lines = hours.get(at) ?? new Map<string, ExplainedLine>();
      hours.set(at, lines);
      const { projectId, leaseId, jobId, meter, resource, model, providerClass, unit, unitPriceNano } = r;
      const of = { projectId, leaseId, jobId, meter, resource, model, providerClass, unit, unitPriceNano };
      const why = whyPrice(r, lease, promised);
      const key = JSON.stringify([...Object.values(of).map(String), why]);
      const had = lines.get(key);
      const sum = { quantity: quantity + (had?.quantity ?? 0n), amountNano: amountNano + (had?.amountNano ?? 0n) };
      lines.set(key, { ...of, ...sum, why });
    }
  }
  return [...hours]
    .sort(([a], [b]) => a - b)
    .map(([at, lines]) => ({
      at,
      lines: [...lines.values()],
      amountNano: [...lines.values()].reduce((n, l) => n + l.amountNano, 0n),
    }));
}

function inHours(r: UsageRow): { at: number; quantity: bigint; amountNano: bigint }[] {
  if (r.meter !== 'lease-time' || r.toAt <= r.fromAt)
    return [{ at: r.periodHour, quantity: r.quantity, amountNano: r.amountNano }];
  const parts: { at: number; ms: bigint }[] = [];
  for (let from = r.fromAt; from < r.toAt;) {
    const at = Math.floor(from / HOUR) * HOUR;
    const to = Math.min(r.toAt, at + HOUR);
    parts.push({ at, ms: BigInt(to - from) });
    from = to;
  }
  const weights = parts.map((p) => p.ms);
  const amounts = splitByLargestRemainder(r.amountNano, weights);
  const quantities = splitByLargestRemainder(r.quantity, weights);
  return parts.map(({ at }, i) => ({ at, quantity: quantities[i] ?? 0n, amountNano: amounts[i] ?? 0n }));
}

function whyPrice(r: UsageRow, lease: Known | undefined, promised: readonly Promised[]): string {
  if (r.meter === 'commitment') return 'committed use that usage did not bring';
  if (r.source === 'storage') return whyStorage(r);
  if (r.source !== 'lease' && r.source !== 'shard') return `told by ${r.source}; costs nothing`;
  if (r.meter === 'lines' && r.amountNano > 0n) return `at least ${formatUsd(r.unitPriceNano)} a request`;
  if (r.meter !== 'lease-time')
    return r.unitPriceNano === 0n || r.meter === 'lines'
      ? lease?.chargeTerms?.paidBy === 'tokens'
        ? 'counted'
        : 'counted; the machine’s time is what is paid'
      : `${formatUsd(r.unitPriceNano)} a million${r.amountNano === 0n ? '; free this month' : ', less what is free each month'}`;
  if (lease?.chargeTerms?.paidBy === 'tokens') return 'nothing: the tokens are what is paid';
  const price = `${formatUsd(r.unitPriceNano)} an hour`;
  const terms = lease?.chargeTerms;
  const discount = terms?.quoted
    ? ', as quoted'
    : lease && terms && terms.discountBps > 0
      ? `: ${formatUsd(chargePerHour(lease.basisPerHour ?? lease.costPerHour, terms.marginBps))} less ${terms.discountBps / 100} % for ${
          commitmentBpsAt(promised, r.projectId, lease.requestedAt) === terms.discountBps ? 'committed use' : 'the plan'
        }`
      : '';
  // A cut of a longer time may be one nano-dollar off by rounding.
  const uncovered = chargeBetween(r.unitPriceNano, r.fromAt, r.fromAt, r.toAt) - r.amountNano > 1n;
  const asOtherwise =
    lease && lease.basisPerHour !== null
      ? '; what the work would have cost elsewhere, below the price of this machine'
      : '';
  return `${price}${discount}${asOtherwise}${uncovered ? '; what no hold covered is not charged' : ''}`;
}

/** What is free of a month and what is not are records of their own. */
function whyStorage({ meter, unitPriceNano }: UsageRow): string {
  if (unitPriceNano === 0n) return 'free';
  return `${formatUsd(unitPriceNano)} a ${meter === 'egress' ? 'GB' : 'GB-hour'}, beyond what is free each month`;
}

/** Explains a day of one tenant, as far as its key sees. */
export async function explainDay(
  tx: Tx,
  actor: Extract<Actor, { as: 'tenant' }>,
  dayMs: number,
): Promise<ExplainedDay> {
  const { organizationId } = actor;
  // Of a day long ago no later records are read: the hour of each is that of its last millisecond.
  const records = await tx.find(
    usageRecords,
    { ...within(actor), side: 'charge', toAt: { gt: dayMs }, periodHour: { lt: dayMs + DAY } },
    { orderBy: [['toAt', 'asc']], limit: RECORDS_MAX + 1 },
  );
  if (records.length > RECORDS_MAX)
    throw new DomainError('too-large', 'day-too-long', `The day has more than ${RECORDS_MAX} usage records.`, {
      fix: 'Ask with a key of one project, or for its usage by the hour.',
    });
  const ids = [...new Set(records.flatMap((r) => (r.leaseId === null ? [] : [r.leaseId])))];
  const used = ids.length === 0 ? [] : await tx.find(leases, { ...within(actor), id: { in: ids } });
  const promised = await tx.find(commitments, { organizationId });
  const hours = explainHours(records, new Map(used.map((l) => [l.id, l])), promised);
  const chargedNano = hours.reduce((n, h) => n + h.amountNano, 0n);
  const spent = chargedNano > 0n ? await grantsOf(tx, actor, dayMs) : [];
  return { hours, chargedNano, notes: await notesOf(tx, actor, dayMs), grants: spent };
}

/** The organization's as a whole: a key of one project does not see them. */
async function grantsOf(
  tx: Tx,
  { organizationId, projectIds }: Extract<Actor, { as: 'tenant' }>,
  dayMs: number,
): Promise<ExplainedDay['grants']> {
  if (projectIds !== 'all') return [];
  const given = await tx.find(grants, { organizationId, createdAt: { lt: dayMs + DAY } });
  const known = given.filter(
    (g) => (g.expiresAt === null || g.expiresAt > dayMs) && (g.state !== 'expired' || g.spentNano > 0n),
  );
  const isOld = (g: (typeof known)[number]): boolean => g.createdAt < dayMs;
  const leftNano = known.some(isOld) ? await grantsLeftAt(tx, organizationId, dayMs) : new Map<string, bigint>();
  return known
    .filter((g) => !isOld(g) || (leftNano.get(g.id) ?? 0n) > 0n)
    .sort(firstSpent)
    .map(({ id, reference, amountNano, expiresAt }) => ({ id, reference, amountNano, expiresAt }));
}

async function notesOf(tx: Tx, actor: Extract<Actor, { as: 'tenant' }>, dayMs: number): Promise<ExplainedDay['notes']> {
  const { organizationId } = actor;
  const inDay = (at: number | null): boolean => at !== null && at >= dayMs && at < dayMs + DAY;
  const since = { organizationId, at: { gte: dayMs } };
  const credits = (await tx.find(transactions, { ...since, kind: 'sla-credit' })).filter((t) => inDay(t.at));
  const until = { endedAt: { gte: dayMs }, requestedAt: { lt: dayMs + DAY } };
  const ended = (await tx.find(leases, { ...within(actor), ...until })).filter((l) => inDay(l.endedAt));
  const failed = ended
    .filter((l) => l.acceptedAt === null && l.bootedAt !== null)
    .map((l) => ({ leaseId: l.id, creditNano: 0n, why: 'the machine never came to work: not charged' }));
  if (credits.length === 0) return failed;
  const mine = await tx.find(leases, { ...within(actor), id: { in: credits.map((t) => t.reference) } });
  const seen = new Map(mine.map((l) => [l.id, l]));
  const parts = await tx.find(entries, {
    transactionId: { in: credits.map((t) => t.id) },
    accountId: account.credit(organizationId),
  });
  const lost = credits
    .filter((t) => seen.has(t.reference))
    .map((t) => {
      const share = (seen.get(t.reference)?.chargeTerms?.slaCreditBps ?? 0) / 100;
      const creditNano = parts.reduce((n, e) => (e.transactionId === t.id ? n + e.amountNano : n), 0n);
      return { leaseId: t.reference, creditNano, why: `the machine was lost: ${share} % of its charge comes back` };
    });
  return [...lost, ...failed];
}
