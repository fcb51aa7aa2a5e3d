import type { CallIdentity, PayeeAccount, PaymentOutcome } from '#contracts';
import { MINUTE } from '#kernel';
import type { Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { waitMs, type EffectKind, type Ending } from '#money/payments';
import { payoutAccountMachine, type PayoutAccountState } from '../machines.js';
import type { TransferParts } from '../parts.js';
import { payoutAccounts, type PayoutAccountRow } from '../rows/payouts.table.js';

/** How long between looks at an account that the processor wants to know more of; its events come sooner. */
const LOOK_EVERY_MS = 5 * MINUTE;

/** A provider's account at the processor. */
export class AccountEffect implements EffectKind<PayoutAccountState, PayoutAccountRow, PayeeAccount> {
  readonly kind = 'payout-account';
  readonly rows = payoutAccounts;
  readonly machine = payoutAccountMachine;
  readonly standing = ['incomplete', 'ready'] as const;

  constructor(private readonly d: TransferParts) {}

  call({ country, email }: PayoutAccountRow, identity: CallIdentity): Promise<PaymentOutcome<PayeeAccount>> {
    return this.d.port.createAccount({ ...identity, country, email });
  }

  find({ id, processorId }: PayoutAccountRow): Promise<PayeeAccount | null> {
    return processorId === null ? this.d.port.findAccount(id) : this.d.port.getAccount(processorId);
  }

  async apply(tx: Tx, row: PayoutAccountRow, found: PayeeAccount): Promise<'rest'> {
    const ready = found.transfersEnabled;
    const state = ready ? 'ready' : 'incomplete';
    const patch = { processorId: found.id, requirements: [...found.requirementsDue], failures: row.failures + 1 };
    const wakeAt = ready ? null : (await tx.now()) + waitMs(row.failures, LOOK_EVERY_MS);
    const message = ready ? 'may be paid' : `the processor wants to know: ${found.requirementsDue.join(', ')}`;
    await transition(tx, payoutAccounts, payoutAccountMachine, row, state, { patch, wakeAt, message });
    return 'rest';
  }

  async end(tx: Tx, row: PayoutAccountRow, { code, message }: Ending): Promise<void> {
    const patch = { code, message };
    await transition(tx, payoutAccounts, payoutAccountMachine, row, 'refused', { patch, wakeAt: null, message });
  }
}
