import { PaymentLookupError, type CallIdentity, type PaymentOutcome, type Transfer } from '#contracts';
import type { Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { NANO_PER_CENT } from '#money/billing';
import { account } from '#money/ledger';
import type { EffectKind, Ending } from '#money/payments';
import { payoutMachine, type PayoutState } from '../machines.js';
import { move, type PayoutParts, type TransferParts } from '../parts.js';
import { payoutReversals, payouts, type PayoutRow } from '../rows/payouts.table.js';

/** A transfer to the provider's account. The money was set aside when the payout was proposed. */
export class PayoutEffect implements EffectKind<PayoutState, PayoutRow, Transfer> {
  readonly kind = 'payout';
  readonly rows = payouts;
  readonly machine = payoutMachine;
  // A transfer may be taken back at the processor, and one that was given up may turn up: then its event wakes the row.
  readonly standing = ['paid', 'failed'] as const;

  constructor(private readonly d: TransferParts) {}

  call(row: PayoutRow, identity: CallIdentity): Promise<PaymentOutcome<Transfer>> {
    const { accountId, amountCents } = row;
    if (accountId === null) throw new Error(`payout ${row.id} has no account to go to`);
    return this.d.port.transfer({ ...identity, accountId, amountCents });
  }

  async find(row: PayoutRow): Promise<Transfer | null> {
    if (row.processorId !== null) return this.d.port.getTransfer(row.processorId);
    const found = await this.d.port.findTransfer(row.id);
    // Never believed: it would book money that went elsewhere.
    if (found !== null && found.amountCents !== row.amountCents)
      throw new PaymentLookupError('refused', `transfer ${found.id} of ${row.id} is ${found.amountCents} cents`);
    return found;
  }

  async apply(tx: Tx, row: PayoutRow, found: Transfer): Promise<'rest'> {
    const paid = row.state === 'paid' ? row : await settlePayout(tx, this.d, row, { processorId: found.id });
    if (found.reversedCents > paid.reversedCents) {
      const back = { upToCents: found.reversedCents, from: account.clearing };
      await takeBack(tx, this.d, paid, { ...back, why: await whyBack(tx, paid, found.reversedCents) });
    } else if (row.state === 'paid') await rest(tx, row);
    return 'rest';
  }

  async end(tx: Tx, row: PayoutRow, { code, message }: Ending): Promise<void> {
    if (row.state === 'failed') return rest(tx, row);
    await transition(tx, payouts, payoutMachine, row, 'failed', { patch: { code, message }, wakeAt: null, message });
    await tell(tx, this.d, row, 'failed', { message });
  }
}

/** Why it came back: as our own reversal says, where there is one over just this amount. */
async function whyBack(tx: Tx, { id, reversedCents }: PayoutRow, upToCents: bigint): Promise<string> {
  const of = { payoutId: id, amountCents: upToCents - reversedCents, state: { not: 'failed' as const } };
  const [ours] = await tx.find(payoutReversals, of, { orderBy: [['id', 'desc']], limit: 1 });
  return ours?.reason ?? 'reversed at the processor';
}

async function rest(tx: Tx, { id, version }: PayoutRow): Promise<void> {
  await tx.update(payouts, { id, version }, { wakeAt: null, version: version + 1 });
}

/** The money has left: out of what was set aside, through the processor or, paid by hand, from the bank. */
export async function settlePayout(
  tx: Tx,
  d: Pick<PayoutParts, 'ledger' | 'outbox'>,
  row: PayoutRow,
  by: { readonly processorId: string } | { readonly reference: string },
): Promise<PayoutRow> {
  const amountNano = row.amountCents * NANO_PER_CENT;
  const paid = await transition(tx, payouts, payoutMachine, row, 'paid', {
    patch: { ...by, paidAt: await tx.now(), code: null, message: null },
    wakeAt: null,
    message: `${row.amountCents} cents paid out`,
  });
  await d.ledger.post(tx, {
    idempotencyKey: `payout-paid:${row.id}`,
    kind: 'payout-paid',
    organizationId: row.organizationId,
    reference: row.id,
    entries: [
      { accountId: account.payouts, amountNano: -amountNano },
      { accountId: 'processorId' in by ? account.clearing : account.cash, amountNano },
    ],
  });
  await tell(tx, d, row, 'paid', {});
  return paid;
}

/** How much of a payout came back until now, where to, and why. */
export interface Back {
  readonly upToCents: bigint;
  readonly from: string;
  readonly why: string;
}

/** A payout of which something came back: that is due to the provider again. Once all of it came back it is reversed. */
export async function takeBack(
  tx: Tx,
  d: Pick<PayoutParts, 'ledger' | 'random' | 'outbox'>,
  row: PayoutRow,
  { upToCents, from, why }: Back,
): Promise<PayoutRow> {
  const { id, providerId, organizationId, amountCents, reversedCents } = row;
  const whole = upToCents >= amountCents;
  const backCents = (whole ? amountCents : upToCents) - reversedCents;
  const reversed = await transition(tx, payouts, payoutMachine, row, whole ? 'reversed' : 'paid', {
    patch: { reversedCents: reversedCents + backCents, reversedAt: whole ? await tx.now() : null, message: why },
    wakeAt: null,
    message: whole ? why : `${backCents} cents taken back: ${why}`,
    ...(whole ? {} : { type: 'payout.reversed-in-part' }),
  });
  await move(
    tx,
    d,
    { id: providerId, organizationId },
    {
      kind: 'payout-reversed',
      reference: id,
      note: why,
      amountNano: backCents * NANO_PER_CENT,
      against: from,
      step: String(reversedCents + backCents),
    },
  );
  await tell(tx, d, row, 'reversed', { message: why, reversedCents: String(reversed.reversedCents) });
  return reversed;
}

function tell(tx: Tx, d: Pick<PayoutParts, 'outbox'>, row: PayoutRow, topic: string, more: object): Promise<string> {
  const { id, organizationId, providerId, statementId, amountCents } = row;
  const payload = { payoutId: id, providerId, statementId, amountCents: String(amountCents), ...more };
  return d.outbox.add(tx, { organizationId, topic: `payout.${topic}`, payload });
}
