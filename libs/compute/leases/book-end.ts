import { chargeBetween, divRound } from '#kernel';
import type { Patch, Tx } from '#platform/database';
import { account, type Ledger } from '#money/ledger';
import { usageRecords } from '#money/metering';
import type { EndReason, LeaseRow } from './leases.table.js';

/**
 * What a lease's end means for the books beyond its time, as entries of their own: the cost of a machine that never came to work
 * is moved from the margin to the failed starts, and a machine that was lost brings back the part of its charge that its terms promise.
 */
export async function bookEnd(
  tx: Tx,
  ledger: Ledger,
  lease: LeaseRow,
  reason: EndReason,
  costThrough: Patch<LeaseRow>['costThrough'],
): Promise<void> {
  const { id, organizationId } = lease;
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
  const bps = slaCreditBps(lease, reason);
  if (bps === 0) return;
  const charged = await tx.find(usageRecords, { leaseId: id, meter: 'lease-time', side: 'charge' });
  const creditNano = slaCredit(
    charged.reduce((a, r) => a + r.amountNano, 0n),
    bps,
  );
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
}

/** What comes back of a charge when the machine is lost. */
export const slaCredit = (chargedNano: bigint, bps: number): bigint => divRound(chargedNano * BigInt(bps), 10_000n);

/** What the vendor is owed for a machine that no tenant ever paid for. */
export function failedStartCost(
  lease: Pick<LeaseRow, 'acceptedAt' | 'bootedAt' | 'costPerHour'>,
  costThrough: number | null,
): bigint {
  if (lease.acceptedAt !== null || lease.bootedAt === null || costThrough === null) return 0n;
  return chargeBetween(lease.costPerHour, lease.bootedAt, lease.bootedAt, Math.max(lease.bootedAt, costThrough));
}

/** The part of its charge that a lease brings back: machines that may be taken away at any time promise nothing. */
export function slaCreditBps(lease: Pick<LeaseRow, 'acceptedAt' | 'chargeTerms' | 'offer'>, reason: EndReason): number {
  const promised = reason === 'lost' && lease.acceptedAt !== null && lease.offer.pricing !== 'spot';
  return promised ? (lease.chargeTerms?.slaCreditBps ?? 0) : 0;
}
