import { DAY, newId } from '#kernel';
import type { Tx } from '#platform/database';
import { creditNotes, invoiceLines, invoices, newDraft } from '#money/billing';

const MONTH = 30 * DAY;

/** One invoice for each thing that may happen to one, and a credit note that pays something back. */
export async function ownInvoices(tx: Tx, of: { organizationId: string; projectId: string; now: number }) {
  const { organizationId, projectId, now } = of;
  let months = 10;
  const month = async (): Promise<string> => {
    const periodStart = now - --months * MONTH;
    const dates = { periodStart, periodEnd: periodStart + MONTH, createdAt: now, wakeAt: null };
    const id = newId('invoice');
    await tx.insert(invoices, newDraft({ id, organizationId, ...dates }));
    return id;
  };
  const issued = async (state: 'open' | 'paid'): Promise<string> => {
    const id = await month();
    const usage = { usageNano: 1_000_000_000n, usageCents: 100n };
    await tx.insert(invoiceLines, {
      invoiceId: id,
      n: 0,
      organizationId,
      projectId,
      projectName: 'default',
      periodStart: now,
      resource: 'secret machine',
      model: null,
      providerClass: null,
      meter: 'lease-time',
      unit: 'ms',
      quantity: 1n,
      amountNano: usage.usageNano,
      cents: usage.usageCents,
    });
    const amounts = { totalCents: 100n, dueCents: 100n, paidCents: state === 'paid' ? 100n : 0n };
    await tx.update(
      invoices,
      { id },
      { state, number: `B-${id}`, frozenAt: now, issuedAt: now, dueAt: now + DAY, ...usage, ...amounts },
    );
    return id;
  };
  const draftInvoiceId = await month();
  const paidInvoiceId = await issued('paid');
  const creditNoteId = newId('creditNote');
  const party = { name: 'secret', address: [], taxId: null, email: null };
  await tx.insert(creditNotes, {
    id: creditNoteId,
    organizationId,
    invoiceId: paidInvoiceId,
    number: `C-${creditNoteId}`,
    reason: 'secret',
    issuedAt: now,
    usageCents: 10n,
    taxCents: 0n,
    totalCents: 10n,
    appliedCents: 0n,
    toCreditCents: 0n,
    refundCents: 10n,
    refundState: 'pending',
    buyer: party,
    seller: party,
    transactionId: null,
  });
  return {
    draftInvoiceId,
    creditNoteId,
    payableInvoiceId: await issued('open'),
    voidableInvoiceId: await issued('open'),
    creditableInvoiceId: await issued('open'),
    lostInvoiceId: await issued('open'),
  };
}
