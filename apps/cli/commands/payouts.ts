import type { Command } from 'commander';
import type { Payout, PayoutDispute, PayoutStatement, PayoutStatementWithLines } from '#client';
import { idArgument, pages, withBroker, type Run } from '../command.js';
import { monthValue } from '../flags.js';
import { saveResults } from '../jobs/results.js';
import { factsText, print, rowsText, type Column, type Output } from '../output.js';
import { dollars, jsonText, quantityText } from '../text.js';
import { centsText } from './invoices.js';

export const payoutColumns: readonly Column<Payout>[] = [
  { title: 'id', of: (r) => r.id },
  { title: 'state', of: (r) => r.state },
  { title: 'amount', of: (r) => centsText(r.amountCents), right: true },
  { title: 'method', of: (r) => r.method },
  { title: 'statement', of: (r) => r.statementId },
  { title: 'paid', of: (r) => r.paidAt?.slice(0, 10) ?? '' },
  { title: 'message', of: (r) => r.message ?? r.reference ?? '' },
];

export const statementColumns: readonly Column<PayoutStatement>[] = [
  { title: 'id', of: (r) => r.id },
  { title: 'number', of: (r) => r.number },
  { title: 'month', of: (r) => r.periodStart.slice(0, 7) },
  { title: 'accrued', of: (r) => dollars(r.accrued), right: true },
  { title: 'paid out', of: (r) => centsText(r.payoutCents), right: true },
  { title: 'closing', of: (r) => centsText(r.closingCents), right: true },
];

export const disputeColumns: readonly Column<PayoutDispute>[] = [
  { title: 'id', of: (r) => r.id },
  { title: 'state', of: (r) => r.state },
  { title: 'reason', of: (r) => r.reason },
  { title: 'amount', of: (r) => dollars(r.amount), right: true },
  { title: 'lease', of: (r) => r.leaseId ?? '' },
  { title: 'note', of: (r) => r.resolution ?? r.note },
];

/** A payout on its own. */
export function payoutText(payout: Payout, output: Output): string {
  return factsText(
    payout,
    [
      ['payout', payout.id],
      ['state', payout.state],
      ['amount', centsText(payout.amountCents)],
      ['taken back', payout.reversedCents === '0' ? null : centsText(payout.reversedCents)],
      ['method', payout.method],
      ['reference', payout.reference],
      ['message', payout.message],
    ],
    output,
  );
}

/** A statement with its lines and balances. */
export function statementText(statement: PayoutStatementWithLines, output: Output): string {
  if (output.json) return `${jsonText(statement)}\n`;
  const lines = rowsText(
    statement.lines,
    [
      { title: 'day', of: (r) => r.day },
      { title: 'kind', of: (r) => r.kind },
      { title: 'sku', of: (r) => r.sku ?? r.resource ?? '' },
      { title: 'lease', of: (r) => r.leaseId ?? r.reference ?? '' },
      {
        title: 'quantity',
        of: (r) => (r.quantity === null ? '' : quantityText(r.quantity, r.unit ?? '')),
        right: true,
      },
      { title: 'exact', of: (r) => dollars(r.amount), right: true },
      { title: 'amount', of: (r) => centsText(r.cents), right: true },
    ],
    output,
  );
  if (!output.table) return lines;
  const { provider, number, periodStart, periodEnd, openingCents, closingCents, payoutCents } = statement;
  const kept = `${dollars(statement.heldBack)} kept back, ${dollars(statement.disputed)} in dispute`;
  return `${lines}\n${provider} ${number ?? 'draft'}, ${periodStart.slice(0, 10)} to ${periodEnd.slice(0, 10)}: opening ${centsText(openingCents)}, paid out ${centsText(payoutCents)}, closing ${centsText(closingCents)}; ${kept}\n`;
}

export function registerPayouts(berth: Command): void {
  const payouts = berth
    .command('payouts')
    .description('what your hosts earn, and how it is paid out (provider operators)');
  payouts
    .command('balance')
    .description('what is owed to you, and what of it is kept back or in dispute')
    .addHelpText('after', '\nExamples:\n  berth --profile hosts payouts balance')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, getPayoutBalance } = await import('#client');
        const { providers } = await answerOf(getPayoutBalance({ client }));
        print(
          rowsText(
            providers,
            [
              { title: 'provider', of: (r) => r.providerId },
              { title: 'not stated yet', of: (r) => dollars(r.accrued), right: true },
              { title: 'due', of: (r) => dollars(r.due), right: true },
              { title: 'kept back', of: (r) => dollars(r.heldBack), right: true },
              { title: 'in dispute', of: (r) => dollars(r.disputed), right: true },
            ],
            output,
          ),
        );
      }),
    );
  payouts
    .command('ls')
    .description('list payouts, newest first')
    .addHelpText('after', '\nExamples:\n  berth --profile hosts payouts ls --json')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listPayouts } = await import('#client');
        const rows = await pages(null, (cursor, limit) =>
          answerOf(listPayouts({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(rowsText(rows, payoutColumns, output));
      }),
    );
  payouts
    .command('disputes')
    .description('list disputes about what you earned, newest first')
    .addHelpText('after', '\nExamples:\n  berth --profile hosts payouts disputes')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listPayoutDisputes } = await import('#client');
        const rows = await pages(null, (cursor, limit) =>
          answerOf(listPayoutDisputes({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(rowsText(rows, disputeColumns, output));
      }),
    );
  registerStatements(payouts);
  registerAccount(payouts);
}

function registerStatements(payouts: Command): void {
  payouts
    .command('statements')
    .description('list statements, newest month first')
    .addHelpText('after', '\nExamples:\n  berth --profile hosts payouts statements')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listPayoutStatements } = await import('#client');
        const rows = await pages(null, (cursor, limit) =>
          answerOf(listPayoutStatements({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(rowsText(rows, statementColumns, output));
      }),
    );
  payouts
    .command('preview')
    .description('show this month’s statement as it would be now')
    .option('--month <month>', 'another month, such as 2026-11', monthValue)
    .option('--provider <id>', 'which, where there are several', idArgument('prv'))
    .addHelpText('after', '\nExamples:\n  berth --profile hosts payouts preview')
    .action(
      withBroker(async ({ client, output }, o: { month?: string; provider?: string }) => {
        const { answerOf, previewPayoutStatement } = await import('#client');
        const query = {
          ...(o.month === undefined ? {} : { month: o.month }),
          ...(o.provider === undefined ? {} : { providerId: o.provider as `prv_${string}` }),
        };
        print(statementText(await answerOf(previewPayoutStatement({ client, query })), output));
      }),
    );
  payouts
    .command('statement')
    .argument('<id>', 'a statement', idArgument('pst'))
    .description('show a statement with its lines')
    .addHelpText('after', '\nExamples:\n  berth --profile hosts payouts statement pst_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, getPayoutStatement } = await import('#client');
        const statement = await answerOf(getPayoutStatement({ client, path: { id: id as `pst_${string}` } }));
        print(statementText(statement, output));
      }),
    );
  for (const format of ['pdf', 'csv'] as const)
    payouts
      .command(format)
      .argument('<id>', 'a statement', idArgument('pst'))
      .description(`read a statement as ${format.toUpperCase()}`)
      .option('-o, --output <file>', 'write to a file, whole or not at all')
      .addHelpText(
        'after',
        `\nExamples:\n  berth --profile hosts payouts ${format} pst_01j00000000000000000000000 -o statement.${format}`,
      )
      .action(
        withBroker((run: Run, id: string, o: { output?: string }) =>
          saveResults(run, `/v1/payouts/statements/${id}/${format}`, o.output),
        ),
      );
}

function registerAccount(payouts: Command): void {
  payouts
    .command('account')
    .description('show the account that transfers go to; with --country, open one')
    .option('--country <code>', 'where you are, such as DE')
    .option('--email <address>', 'where the payment processor writes to')
    .option('--link <url>', 'get a page where you say who you are; it returns to this address')
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile hosts payouts account --country DE\n  berth --profile hosts payouts account --link https://example.com/done',
    )
    .action(
      withBroker(async ({ client, output }, o: { country?: string; email?: string; link?: string }) => {
        const { answerOf, getPayoutAccount, linkPayoutAccount, openPayoutAccount } = await import('#client');
        if (o.link !== undefined) {
          const body = { returnUrl: o.link, refreshUrl: o.link };
          const link = await answerOf(linkPayoutAccount({ client, body }));
          return print(output.json ? `${jsonText(link)}\n` : `${link.url}\n`);
        }
        const account =
          o.country === undefined
            ? await answerOf(getPayoutAccount({ client }))
            : await answerOf(openPayoutAccount({ client, body: { country: o.country, email: o.email ?? null } }));
        print(
          factsText(
            account,
            [
              ['account', account.id],
              ['state', account.state],
              ['country', account.country],
              ['still to tell', account.requirements.join(', ')],
              ['message', account.message],
            ],
            output,
          ),
        );
      }),
    );
}
