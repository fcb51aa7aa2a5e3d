import { chargeBetween, divRound } from '#kernel';
import type { Patch, Tx } from '#platform/database';
import { account, type Ledger } from '#money/ledger';
import { usageRecords } from '#money/metering';
import type { Disputes } from '#money/payouts';
import type { EndReason, LeaseRow } from './leases.table.js';
import { costFrom } from './machine-cost.js';

/**
 * What a lease's end means for the books beyond its time, as entries of their own: the cost of a machine that never came to work
 * is moved from the margin to the failed starts, and a machine that was lost brings back the part of its charge that its terms promise.
 * Either is noticed as a dispute with the provider, where its terms of payout say so.
 */
export async function bookEnd(
  tx: Tx,
  { ledger, disputes }: { readonly ledger: Ledger; readonly disputes: Pick<Disputes, 'notice'> },
  lease: LeaseRow,
  reason: EndReason,
  costThrough: Patch<LeaseRow>['costThrough'],
): Promise<void> {
  const { id, organizationId, providerId } = lease;
  const costNano = failedStartCost(lease, typeof costThrough === 'number' ? costThrough : lease.costThrough);
  if (costNano > 0n)
    await ledger.post(tx, {
      idempotencyKey: `failed-start:${id}`,
      kind: 'failed-start',
      organizationId: null,
      reference: id,
      entries: [
        { accountId: account.revenue, amountNano: costNano },
        { accountId: account.failedStarts, amountNano: -costNano },
      ],
    });
  if (costNano > 0n && THE_MACHINE_FAILED.includes(reason))
    await disputes.notice(tx, {
      providerId,
      reason: 'failed-probe',
      note: `lease ${id} never came to work`,
      leaseId: id,
      amountNano: costNano,
      source: `failed-start:${id}`,
    });
  const bps = slaCreditBps(lease, reason);
  if (bps === 0) return;
  const used = await tx.find(usageRecords, { leaseId: id, meter: 'lease-time' });
  const part = (side: 'charge' | 'cost'): bigint =>
    slaCredit(
      used.reduce((a, r) => (r.side === side ? a + r.amountNano : a), 0n),
      bps,
    );
  const creditNano = part('charge');
  if (creditNano > 0n)
    await ledger.post(tx, {
      idempotencyKey: `sla-credit:${id}`,
      kind: 'sla-credit',
      organizationId,
      reference: id,
      entries: [
        { accountId: account.sla, amountNano: -creditNano },
        { accountId: account.credit(organizationId), amountNano: creditNano },
      ],
    });
  await disputes.notice(tx, {
    providerId,
    reason: 'sla-breach',
    note: `lease ${id} was lost`,
    leaseId: id,
    amountNano: part('cost'),
    source: `sla-credit:${id}`,
  });
}

/** What comes back of a charge when the machine is lost. */
export const slaCredit = (chargedNano: bigint, bps: number): bigint => divRound(chargedNano * BigInt(bps), 10_000n);

/** Ends before the first use that are the machine's doing, not the tenant's. */
const THE_MACHINE_FAILED: readonly EndReason[] = ['failed', 'rejected', 'lost'];

/** What the vendor is owed for a machine that no tenant ever paid for. */
export function failedStartCost(
  lease: Pick<LeaseRow, 'acceptedAt' | 'bootedAt' | 'reservedUntil' | 'costPerHour'>,
  costThrough: number | null,
): bigint {
  if (lease.acceptedAt !== null || lease.bootedAt === null || costThrough === null) return 0n;
  const fromMs = costFrom({ bootedAt: lease.bootedAt, reservedUntil: lease.reservedUntil });
  return chargeBetween(lease.costPerHour, fromMs, fromMs, Math.max(fromMs, costThrough));
}

/** The part of its charge that a lease brings back: machines that may be taken away at any time promise nothing. */
export function slaCreditBps(lease: Pick<LeaseRow, 'acceptedAt' | 'chargeTerms' | 'offer'>, reason: EndReason): number {
  const promised = reason === 'lost' && lease.acceptedAt !== null && lease.offer.pricing !== 'spot';
  return promised ? (lease.chargeTerms?.slaCreditBps ?? 0) : 0;
}
