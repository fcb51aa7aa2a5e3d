import { DAY, HOUR, newId } from '#kernel';
import { BROKER } from '#identity/audit';
import { WORKER } from '#platform/database';
import { monthStart } from '#money/metering';
import { payouts } from '#money/payouts';
import { providers } from '#compute/providers';
import type { TestApi } from './test-api.js';

/** What a provider's hosts would have earned by now: two months with their statements and payouts, and two disputes. */
export async function ownPayouts(
  api: TestApi,
  of: { organizationId: string; projectId: string; providerOrganizationId: string },
) {
  const { broker, store } = api.ground;
  const { organizationId, projectId, providerOrganizationId } = of;
  const provider = await store.transaction(WORKER, (tx) =>
    tx.first(providers, { organizationId: providerOrganizationId }),
  );
  if (!provider) throw new Error('the provider has no hosts');
  const providerId = provider.id;
  const lastMonth = monthStart(monthStart(Date.now()) - 1);
  await broker.payouts.terms.set(providerId, { minimumCents: 1n }, BROKER);
  for (const month of [monthStart(lastMonth - 1), lastMonth]) {
    const fromMs = month + 3 * DAY;
    const cost = { perHour: 2_345_678_901n, startMs: fromMs, fromMs, toMs: fromMs + HOUR };
    await store.transaction(WORKER, (tx) =>
      broker.metering.leaseTime(tx, {
        leaseId: newId('lease'),
        organizationId,
        projectId,
        jobId: null,
        providerId,
        holdId: null,
        resource: 'secret machine',
        charge: null,
        cost,
      }),
    );
    await broker.payouts.statements.make(providerId, month, BROKER);
  }
  const about = { providerId, reason: 'other' as const, note: 'slow disks', leaseId: null, amountNano: 5n };
  const [, dispute] = [
    await broker.payouts.disputes.open(about, BROKER),
    await broker.payouts.disputes.open(about, BROKER),
  ];
  const [payout, earlier] = await store.transaction(WORKER, (tx) =>
    tx.find(payouts, { providerId }, { orderBy: [['id', 'desc']] }),
  );
  if (!payout || !earlier) throw new Error('nothing was set aside');
  return {
    providerId,
    payoutId: payout.id,
    cancelablePayoutId: earlier.id,
    payoutStatementId: payout.statementId,
    payoutDisputeId: dispute.id,
  };
}
