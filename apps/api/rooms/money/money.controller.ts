import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { notFound } from '#kernel';
import { idOf, isoTime, nanoUsdText } from '#contracts';
import { WORKER, type Store } from '#platform/database';
import { audit, authorOf } from '#identity/audit';
import { organizations } from '#identity/tenancy';
import { account, entries, Ledger, transactions } from '#money/ledger';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { STORE } from '../../tokens.js';
import { nameText, timeText } from '../shapes.js';

const roles = ['member', 'admin'] as const;
/** Invoices and ledger are the organization's, over all its projects: a key of one project does not see them. */
const wholeOrganization = ['admin'] as const;

const transactionSchema = z
  .object({
    id: z.string(),
    kind: z.string(),
    reference: z.string(),
    at: isoTime,
    amount: nanoUsdText.describe('Change of the credit'),
  })
  .meta({ id: 'LedgerTransaction' });

const getBalance = route({
  method: 'GET',
  path: '/v1/ledger',
  tag: 'Money',
  name: 'getBalance',
  summary: 'Show the credit',
  access: { roles: [...roles, 'platform-admin'] },
  returns: z
    .object({ organizationId: z.string(), balance: nanoUsdText, available: nanoUsdText, held: nanoUsdText })
    .meta({ id: 'Balance' }),
});

const listTransactions = route({
  method: 'GET',
  path: '/v1/ledger/transactions',
  tag: 'Money',
  name: 'listTransactions',
  summary: 'List what changed the credit, newest first',
  access: { roles: wholeOrganization },
  returns: transactionSchema,
  page: true,
});

const addCredit = route({
  method: 'POST',
  path: '/v1/admin/credit',
  tag: 'Administration',
  name: 'addCredit',
  summary: 'Give a tenant credit',
  description:
    'A grant is a gift, a payment is money that came in. The same `reference` counts once, and is refused (409) for another amount.',
  access: { roles: ['platform-admin'] },
  body: z
    .strictObject({
      organizationId: idOf('organization'),
      amountNano: nanoUsdText.refine((t) => BigInt(t) > 0n, 'must be more than zero'),
      kind: z.enum(['grant', 'payment']).default('grant'),
      reference: nameText,
    })
    .meta({ id: 'NewCredit' }),
  returns: z
    .object({
      organizationId: z.string(),
      balance: nanoUsdText,
      available: nanoUsdText,
      held: nanoUsdText,
      posted: z.boolean(),
    })
    .meta({ id: 'CreditedBalance' }),
});

@Controller()
export class MoneyController {
  constructor(
    private readonly ledger: Ledger,
    @Inject(STORE) private readonly store: Store,
  ) {}

  @Serve(getBalance)
  async balance({ principal }: Call<typeof getBalance>) {
    return this.show(principal.organizationId);
  }

  @Serve(listTransactions)
  async list({ principal, page }: Call<typeof listTransactions>) {
    const { organizationId } = principal;
    const { rows, amounts } = await this.store.transaction(principal.actor, async (tx) => {
      const rows = await tx.find(transactions, { organizationId }, { orderBy: [['id', 'desc']], ...page.order });
      const own =
        rows.length === 0
          ? []
          : await tx.find(entries, {
              transactionId: { in: rows.map((r) => r.id) },
              accountId: account.credit(organizationId),
            });
      return { rows, amounts: new Map(own.map((e) => [e.transactionId, e.amountNano])) };
    });
    return page.answer(
      rows,
      (row) => [row.id],
      (row) => ({
        id: row.id,
        kind: row.kind,
        reference: row.reference,
        at: timeText(row.at),
        amount: String(amounts.get(row.id) ?? 0n),
      }),
    );
  }

  @Serve(addCredit)
  async credit(call: Call<typeof addCredit>) {
    const { organizationId, amountNano, kind, reference } = call.body;
    const posted = await this.store.transaction(WORKER, async (tx) => {
      const organization = await tx.first(organizations, { id: organizationId, kind: 'tenant' });
      if (!organization) throw notFound('tenant', organizationId);
      const before = await this.ledger.creditOf(tx, organizationId);
      const key = `credit:${organizationId}:${reference}`;
      const transaction = await this.ledger.credit(tx, organizationId, BigInt(amountNano), kind, key);
      if (transaction === null) return null;
      const { balanceNano } = await this.ledger.creditOf(tx, organizationId);
      await audit(tx, {
        by: authorOf(call),
        organizationId,
        action: 'credit.add',
        subject: transaction,
        before: { balance: before.balanceNano },
        after: { balance: balanceNano, kind, reference },
      });
      return transaction;
    });
    return { ...(await this.show(organizationId)), posted: posted !== null };
  }

  private async show(organizationId: string) {
    const row = await this.store.transaction(WORKER, (tx) => this.ledger.creditOf(tx, organizationId));
    return {
      organizationId,
      balance: String(row.balanceNano),
      available: String(row.availableNano),
      held: String(row.heldNano),
    };
  }
}
