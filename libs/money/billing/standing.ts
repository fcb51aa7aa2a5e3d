import { DAY, DomainError, formatUsd } from '#kernel';
import type { Tx } from '#platform/database';
import { NANO_PER_CENT } from './lines/cents.js';
import type { BillingParts } from './parts.js';
import { paymentPauses, type PaymentPauseRow } from './rows/documents.table.js';
import { invoices, openCents, type InvoiceRow } from './rows/invoices.table.js';
import type { BillingSettings } from './settings.js';

type Pause = Pick<PaymentPauseRow, 'invoiceId' | 'level'>;

/** What an organization's unpaid invoices mean for its work: the one that is past due for longest decides. */
export function standingOf(
  pastDue: readonly Pick<InvoiceRow, 'id' | 'dueAt'>[],
  settings: Pick<BillingSettings, 'pauseDays' | 'stopDays'>,
  nowMs: number,
): Pause | null {
  const oldest = pastDue.toSorted((a, b) => (a.dueAt ?? nowMs) - (b.dueAt ?? nowMs) || (a.id < b.id ? -1 : 1))[0];
  if (!oldest) return null;
  const lateDays = (nowMs - (oldest.dueAt ?? nowMs)) / DAY;
  if (lateDays >= settings.stopDays) return { invoiceId: oldest.id, level: 'stop' };
  return lateDays >= settings.pauseDays ? { invoiceId: oldest.id, level: 'pause' } : null;
}

/**
 * Makes the pause what the unpaid invoices say it is, and tells when it changes. Returns the level that has just been reached.
 * Called wherever an invoice becomes past due, later than that, or stops being so.
 */
export async function settleStanding(
  tx: Tx,
  { outbox, settings }: Pick<BillingParts, 'outbox' | 'settings'>,
  organizationId: string,
): Promise<PaymentPauseRow['level'] | null> {
  const now = await tx.now();
  const before = await tx.first(paymentPauses, { organizationId }, { lock: 'update' });
  const after = standingOf(await tx.find(invoices, { organizationId, state: 'past_due' }), settings, now);
  if (after?.invoiceId === before?.invoiceId && after?.level === before?.level) return null;
  if (after) await tx.upsert(paymentPauses, [{ organizationId, ...after, since: before?.since ?? now }]);
  else await tx.remove(paymentPauses, { organizationId });
  if (after?.level === before?.level) return null;
  const topic = after === null ? 'resumed' : after.level === 'stop' ? 'stopped' : 'paused';
  await outbox.add(tx, {
    organizationId,
    topic: `organization.${topic}`,
    payload: { invoiceId: after?.invoiceId ?? before?.invoiceId ?? null },
  });
  return after?.level ?? null;
}

/** Refuses new work of an organization that is paused for an unpaid invoice; says which and how much. */
export async function requireStanding(tx: Tx, organizationId: string): Promise<void> {
  const pause = await tx.first(paymentPauses, { organizationId });
  const invoice = pause && (await tx.first(invoices, { id: pause.invoiceId, organizationId }));
  if (!pause || !invoice) return;
  const amount = formatUsd(openCents(invoice) * NANO_PER_CENT);
  const due = new Date(invoice.dueAt ?? pause.since).toISOString().slice(0, 10);
  throw new DomainError(
    'payment-required',
    'invoice-past-due',
    `Invoice ${invoice.number ?? invoice.id} is unpaid: ${amount} were due on ${due}.`,
    {
      fix: 'Pay it; new work is taken again as soon as the payment has come in.',
      facts: { invoiceId: invoice.id, openCents: String(openCents(invoice)), level: pause.level },
    },
  );
}
