import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { notFound } from '#kernel';
import { isoTime, nanoUsdText } from '#contracts';
import { WORKER, type Store } from '#platform/database';
import {
  account,
  accounts,
  statement,
  trialBalance,
  Sealer,
  type Statement,
  type StatementEntry,
  type StatementMark,
} from '#money/ledger';
import type { Ground } from '../../ground.js';
import { queryInt } from '../../http/query-types.js';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { GROUND } from '../../services.js';
import { STORE } from '../../tokens.js';
import { timeText } from '../shapes.js';
import { spanAsked } from './span.js';

const period = z.strictObject({
  from: isoTime.optional(),
  to: isoTime.optional(),
  limit: queryInt(1, 1_000).default(200).meta({ description: 'Most entries', default: 200 }),
  cursor: z
    .string()
    .regex(/^\d{1,15}\.txn_[0-9a-z]{26}\.\d{1,6}$/)
    .optional()
    .meta({ description: '`nextCursor` of the page before' }),
});

const statementSchema = z
  .object({
    accountId: z.string(),
    currency: z.string(),
    from: isoTime,
    to: isoTime,
    opening: nanoUsdText.describe('What the account had right before `from`'),
    closing: nanoUsdText.describe('What it had right before `to`: the opening and all entries between'),
    entries: z.array(
      z.object({
        transactionId: z.string(),
        at: isoTime,
        kind: z.string(),
        reference: z.string(),
        reverses: z.string().nullable().describe('The transaction that this one takes back'),
        amount: nanoUsdText,
        balance: nanoUsdText.describe('What the account had after this entry'),
      }),
    ),
    nextCursor: z.string().nullable(),
  })
  .meta({ id: 'Statement' });

const getStatement = route({
  method: 'GET',
  path: '/v1/ledger/statement',
  tag: 'Money',
  name: 'getStatement',
  summary: 'Show what changed the credit, with the balance after each change',
  description: 'From `from` (default: 30 days ago) on and before `to` (default: now), oldest first.',
  access: { roles: ['admin'] },
  query: period,
  returns: statementSchema,
});

const getAccountStatement = route({
  method: 'GET',
  path: '/v1/admin/ledger/accounts/{id}/statement',
  tag: 'Administration',
  name: 'getAccountStatement',
  summary: 'Show any account’s entries with the balance after each',
  description: 'From `from` (default: 30 days ago) on and before `to` (default: now), oldest first.',
  access: { roles: ['platform-admin'] },
  params: z.strictObject({ id: z.string().regex(/^[a-z-]{1,40}:[A-Za-z0-9_:-]{1,80}$/) }),
  query: period,
  returns: statementSchema,
});

const getTrialBalance = route({
  method: 'GET',
  path: '/v1/admin/ledger/trial-balance',
  tag: 'Administration',
  name: 'getTrialBalance',
  summary: 'Show the balance of every account at an instant',
  description:
    'As the books stood right before `at` (default: as they stand). The balances of each currency sum to zero.',
  access: { roles: ['platform-admin'] },
  query: z.strictObject({ at: isoTime.optional() }),
  returns: z
    .object({
      at: isoTime,
      accounts: z.array(
        z.object({ accountId: z.string(), kind: z.string(), currency: z.string(), balance: nanoUsdText }),
      ),
      totals: z.array(z.object({ currency: z.string(), balance: nanoUsdText })),
    })
    .meta({ id: 'TrialBalance' }),
});

const verifyLedger = route({
  method: 'GET',
  path: '/v1/admin/ledger/verify',
  tag: 'Administration',
  name: 'verifyLedger',
  summary: 'Recompute the hash chain over the ledger, a page of links at a time',
  description:
    'Start without `after`, go on with `through` until `done`. The last page also counts what is not sealed and compares every balance with its entries.',
  access: { roles: ['platform-admin'] },
  query: z.strictObject({ after: queryInt(0, 1e12).default(0), limit: queryInt(1, 50).default(10) }),
  returns: z
    .object({
      through: z.number().describe('The last link that was checked and is as it was sealed'),
      transactions: z.number().describe('Transactions checked on this page'),
      done: z.boolean(),
      broken: z
        .object({
          seal: z.number(),
          transactionId: z.string().nullable(),
          what: z.enum(['seal-missing', 'seal-changed', 'chain-cut', 'transaction-missing', 'transaction-changed']),
        })
        .nullable()
        .describe('The first thing that is not as it was sealed'),
      sealed: z.object({ n: z.number(), hash: z.string(), transactions: z.number() }),
      rest: z
        .object({
          transactions: z.number(),
          unsealed: z.number(),
          unsealedSince: isoTime.nullable(),
          lost: z.number().describe('Transactions neither sealed nor waiting; below zero: sealed ones that are gone'),
          wrongAccounts: z.array(z.string()).describe('Accounts whose balance is not the sum of their entries'),
        })
        .nullable(),
    })
    .meta({ id: 'LedgerVerification' }),
});

@Controller()
export class LedgerController {
  constructor(
    private readonly sealer: Sealer,
    @Inject(STORE) private readonly store: Store,
    @Inject(GROUND) private readonly ground: Ground,
  ) {}

  @Serve(getStatement)
  async own({ principal, query }: Call<typeof getStatement>) {
    return this.show(account.credit(principal.organizationId), query, true);
  }

  @Serve(getAccountStatement)
  async any({ params, query }: Call<typeof getAccountStatement>) {
    return this.show(params.id, query, false);
  }

  @Serve(getTrialBalance)
  async trial({ query }: Call<typeof getTrialBalance>) {
    const at = query.at === undefined ? null : Date.parse(query.at);
    const rows = await this.store.transaction(WORKER, (tx) => trialBalance(tx, at));
    const currencies = [...new Set(rows.map((r) => r.currency))].sort();
    return {
      at: timeText(at ?? this.ground.clock.now()),
      accounts: rows.map(({ balanceNano, ...row }) => ({ ...row, balance: String(balanceNano) })),
      totals: currencies.map((currency) => ({
        currency,
        balance: String(rows.reduce((a, r) => (r.currency === currency ? a + r.balanceNano : a), 0n)),
      })),
    };
  }

  @Serve(verifyLedger)
  async verify({ query }: Call<typeof verifyLedger>) {
    const { rest, ...page } = await this.sealer.verify(query.after, query.limit);
    return {
      ...page,
      sealed: { ...page.sealed },
      broken: page.broken,
      rest:
        rest === null
          ? null
          : { ...rest, unsealedSince: timeText(rest.unsealedSince), wrongAccounts: [...rest.wrongAccounts] },
    };
  }

  private async show(accountId: string, query: z.output<typeof period>, mayBeMissing: boolean) {
    // An instant belongs to what follows it; what happened in this very millisecond is to be seen all the same.
    const { fromMs, toMs } = spanAsked(query, this.ground.clock.now() + 1);
    const after = query.cursor === undefined ? {} : { after: markOf(query.cursor) };
    const { row, page } = await this.store.transaction(WORKER, async (tx) => ({
      row: await tx.first(accounts, { id: accountId }),
      page: await statement(tx, { accountId, fromMs, toMs, limit: query.limit + 1, ...after }),
    }));
    if (!row && !mayBeMissing) throw notFound('account', accountId);
    return {
      accountId,
      currency: row?.currency ?? 'USD',
      from: timeText(fromMs),
      to: timeText(toMs),
      ...shown(page, query.limit),
    };
  }
}

function markOf(cursor: string): StatementMark {
  const [at = '', transactionId = '', n = ''] = cursor.split('.');
  return { at: Number(at), transactionId, n: Number(n) };
}

function shown(page: Statement, limit: number) {
  const entries: readonly StatementEntry[] = page.entries.slice(0, limit);
  const last = entries.at(-1);
  const more = page.entries.length > limit && last !== undefined;
  return {
    opening: String(page.openingNano),
    closing: String(page.closingNano),
    entries: entries.map((e) => ({
      transactionId: e.transactionId,
      at: timeText(e.at),
      kind: e.kind,
      reference: e.reference,
      reverses: e.reverses,
      amount: String(e.amountNano),
      balance: String(e.balanceNano),
    })),
    nextCursor: more ? `${last.at}.${last.transactionId}.${last.n}` : null,
  };
}
