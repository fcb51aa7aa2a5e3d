import type { CallIdentity, PaymentOutcome, PushedInvoice } from '#contracts';
import { DomainError, notFound } from '#kernel';
import { WORKER, type Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import type { EffectKind, Ending } from './effect.reconciler.js';
import { newIntent } from './intent.js';
import { closingMachine, type ClosingState } from './machines.js';
import type { CardParts } from './parts.js';
import { invoiceClosings, payments, type Closing, type ClosingRow, type PaymentRow } from './payments.table.js';

/** Ends a document at the processor, so that nobody pays there what was paid, corrected or withdrawn here. */
export class ClosingEffect implements EffectKind<ClosingState, ClosingRow, PushedInvoice> {
  readonly kind = 'invoice-closing';
  readonly rows = invoiceClosings;
  readonly machine = closingMachine;
  readonly standing = [] as const;

  constructor(private readonly d: Pick<CardParts, 'port'>) {}

  call({ pushedId: invoiceId, closeAs }: ClosingRow, identity: CallIdentity): Promise<PaymentOutcome<PushedInvoice>> {
    return this.d.port.closeInvoice({ ...identity, invoiceId, as: closeAs });
  }

  async find({ pushedId }: ClosingRow): Promise<PushedInvoice | null> {
    const found = await this.d.port.getInvoice(pushedId);
    return found.state === 'draft' || found.state === 'open' ? null : found;
  }

  async apply(tx: Tx, row: ClosingRow, found: PushedInvoice): Promise<'rest'> {
    const patch = { processorId: found.id };
    const message = `the document is ${found.state}`;
    await transition(tx, invoiceClosings, closingMachine, row, 'closed', { patch, wakeAt: null, message });
    if (found.payment) await this.lookForMoney(tx, row);
    return 'rest';
  }

  async end(tx: Tx, row: ClosingRow, { code, message }: Ending): Promise<void> {
    const change = { patch: { code, message }, wakeAt: null, message };
    await transition(tx, invoiceClosings, closingMachine, row, 'refused', change);
    await this.lookForMoney(tx, row);
  }

  /** Somebody may have paid there in the meantime: the try that was given up looks once more. */
  private async lookForMoney(tx: Tx, { pushedId }: ClosingRow): Promise<void> {
    const over = { in: ['declined', 'refused'] as const };
    await tx.update(payments, { pushedId, state: over }, { wakeAt: await tx.now(), version: { add: 1 } });
  }
}

/** Puts the end of each document that asks for what is not to be paid any more on its way; again changes nothing. */
export async function closeStale(
  tx: Tx,
  { invoices, random, wake }: Pick<CardParts, 'invoices' | 'random' | 'wake'>,
  invoiceId: string,
): Promise<void> {
  const tries = await tx.find(payments, { invoiceId, pushedId: { not: '' } });
  const [first] = tries;
  if (!first) return;
  const standing = await invoices.standing(tx, invoiceId);
  const openCents = (await invoices.get(tx, invoiceId))?.openCents ?? 0n;
  for (const { pushedId, closeAs } of staleDocuments(tries, { standing, openCents })) {
    const intent = await newIntent(tx, random, 'closing', first.organizationId);
    const row: ClosingRow = { ...intent, state: 'intended', invoiceId, pushedId, closeAs };
    const [fresh] = await tx.insertNew(invoiceClosings, [row]);
    if (fresh) tx.afterCommit(() => wake.wake('invoice-closing', fresh.id));
  }
}

/**
 * Lets a closing that the processor refused be tried once more: what is there is looked up first, then it is asked again, with a new key.
 * `also` runs in the transaction.
 */
export function retryClosing(
  { store, wake }: Pick<CardParts, 'store' | 'wake' | 'port'>,
  id: string,
  also: (tx: Tx, before: ClosingRow, after: ClosingRow) => Promise<void>,
): Promise<ClosingRow> {
  return store.transaction(WORKER, async (tx) => {
    const row = await tx.first(invoiceClosings, { id }, { lock: 'update' });
    if (!row) throw notFound('closing', id);
    if (row.state !== 'refused')
      throw new DomainError('conflict', 'not-refused', `The closing is ${row.state}; only refused ones are retried.`);
    const now = await tx.now();
    const after = await transition(tx, invoiceClosings, closingMachine, row, 'unknown', {
      // The day after which it is given up is counted from now on.
      patch: { attempt: row.attempt + 1, keyAt: null, spent: false, failures: 0, code: null, createdAt: now },
      wakeAt: now,
      message: 'to be tried again',
    });
    await also(tx, row, after);
    tx.afterCommit(() => wake.wake('invoice-closing', id));
    return after;
  });
}

/**
 * Which documents of an invoice at the processor are to be closed, and how: those that ask for another amount than is open, unless a
 * payment came through one or is still on its way.
 */
export function staleDocuments(
  tries: readonly Pick<PaymentRow, 'pushedId' | 'state' | 'amountCents'>[],
  invoice: { readonly standing: 'open' | 'paid' | 'withdrawn'; readonly openCents: bigint },
): { pushedId: string; closeAs: Closing }[] {
  const byCard = tries.some((t) => t.state === 'settled');
  const closeAs = invoice.standing === 'paid' && !byCard ? 'paid-elsewhere' : 'void';
  const documents = new Map<string, (typeof tries)[number][]>();
  for (const t of tries) if (t.pushedId !== null) documents.set(t.pushedId, [...(documents.get(t.pushedId) ?? []), t]);
  return [...documents]
    .filter(([, of]) => of.every((t) => failed.includes(t.state)))
    .filter(([, of]) => invoice.standing !== 'open' || of.some((t) => t.amountCents !== invoice.openCents))
    .map(([pushedId]) => ({ pushedId, closeAs }));
}

const failed: readonly string[] = ['declined', 'refused'];
