import type { Command } from 'commander';
import type { Client, Statement } from '#client';
import { withBroker } from '../command.js';
import { Ended, EXIT } from '../exit.js';
import { defined, instant } from '../flags.js';
import { factsText, print, rowsText, type Output } from '../output.js';
import { dollars, jsonText } from '../text.js';

interface Period {
  from?: string;
  to?: string;
}

type Page = (query: Period & { cursor?: string }) => Promise<Statement>;

/** All pages of a statement as one. */
async function wholeStatement(read: Page, { from, to }: Period): Promise<Statement> {
  const first = await read(defined({ from, to }));
  const entries = [...first.entries];
  // The first page says what "now" was; the others stay within it.
  for (let cursor = first.nextCursor; cursor !== null;) {
    const page = await read({ from: first.from, to: first.to, cursor });
    entries.push(...page.entries);
    cursor = page.nextCursor;
  }
  return { ...first, entries, nextCursor: null };
}

function printStatement(statement: Statement, output: Output): void {
  if (output.json) return print(`${jsonText(statement)}\n`);
  print(
    rowsText(
      statement.entries,
      [
        { title: 'at', of: (r) => r.at },
        { title: 'kind', of: (r) => r.kind },
        { title: 'reference', of: (r) => r.reference },
        { title: 'transaction', of: (r) => r.transactionId },
        { title: 'amount', of: (r) => dollars(r.amount), right: true },
        { title: 'balance', of: (r) => dollars(r.balance), right: true },
      ],
      output,
    ),
  );
  if (output.table) print(`\nopening ${dollars(statement.opening)}, closing ${dollars(statement.closing)}\n`);
}

/** `berth statement`: the tenant's own credit. */
export function registerStatement(berth: Command): void {
  berth
    .command('statement')
    .description('what changed the credit, with the balance after each change')
    .option('--from <time>', 'ISO 8601, default 30 days ago', instant)
    .option('--to <time>', 'ISO 8601, default now', instant)
    .addHelpText('after', '\nExamples:\n  berth statement --from 2026-11-01T00:00:00Z\n  berth statement --json')
    .action(
      withBroker(async ({ client, output }, o: Period) => {
        const { answerOf, getStatement } = await import('#client');
        const read: Page = (query) => answerOf(getStatement({ client, query: { ...query, limit: 1_000 } }));
        printStatement(await wholeStatement(read, o), output);
      }),
    );
}

/** `berth admin ledger`: the broker's own books. */
export function registerLedger(admin: Command): void {
  const ledger = admin.command('ledger').description('the books: balances, statements, the hash chain');
  ledger
    .command('trial-balance')
    .description('every account at an instant')
    .option('--at <time>', 'ISO 8601, right before it; default now', instant)
    .addHelpText('after', '\nExamples:\n  berth admin ledger trial-balance --at 2026-12-01T00:00:00Z')
    .action(
      withBroker(async ({ client, output }, o: { at?: string }) => {
        const { answerOf, getTrialBalance } = await import('#client');
        const query = o.at === undefined ? {} : { at: o.at };
        const trial = await answerOf(getTrialBalance({ client, query }));
        if (output.json) return print(`${jsonText(trial)}\n`);
        print(
          rowsText(
            trial.accounts,
            [
              { title: 'account', of: (r) => r.accountId },
              { title: 'currency', of: (r) => r.currency },
              { title: 'balance', of: (r) => dollars(r.balance), right: true },
            ],
            output,
          ),
        );
      }),
    );
  ledger
    .command('statement')
    .argument('<account>', 'such as revenue:berth')
    .description('the entries of one account, with the balance after each')
    .option('--from <time>', 'ISO 8601, default 30 days ago', instant)
    .option('--to <time>', 'ISO 8601, default now', instant)
    .addHelpText('after', '\nExamples:\n  berth admin ledger statement revenue:berth --from 2026-11-01T00:00:00Z')
    .action(
      withBroker(async ({ client, output }, id: string, o: Period) => {
        const { answerOf, getAccountStatement } = await import('#client');
        const read: Page = (query) =>
          answerOf(getAccountStatement({ client, path: { id }, query: { ...query, limit: 1_000 } }));
        printStatement(await wholeStatement(read, o), output);
      }),
    );
  ledger
    .command('verify')
    .description('recompute the hash chain and every balance; ends with 1 when something is not as it was sealed')
    .addHelpText('after', '\nExamples:\n  berth admin ledger verify')
    .action(
      withBroker(async ({ client, output }) => {
        const said = await verifyAll(client);
        print(
          factsText(
            said,
            [
              ['checked', `${said.transactions} transactions in ${said.through} links`],
              ['head', said.sealed.hash],
              ['not sealed', said.rest?.unsealed ?? null],
              ['since', said.rest?.unsealedSince ?? null],
              [
                'broken',
                said.broken && `${said.broken.what}: link ${said.broken.seal} ${said.broken.transactionId ?? ''}`,
              ],
              ['lost', said.rest?.lost || null],
              ['wrong', said.rest?.wrongAccounts.join(', ') ?? null],
            ],
            output,
          ),
        );
        const { rest } = said;
        if (said.broken || (rest && (rest.lost !== 0 || rest.wrongAccounts.length > 0)))
          throw new Ended(EXIT.failed, 'the ledger is not as it was sealed.');
      }),
    );
}

/** All pages of the verification as one; the last one has what concerns the whole. */
async function verifyAll(client: Client) {
  const { answerOf, verifyLedger } = await import('#client');
  for (let after = 0, checked = 0; ;) {
    const page = await answerOf(verifyLedger({ client, query: { after } }));
    checked += page.transactions;
    if (page.done) return { ...page, transactions: checked };
    after = page.through;
  }
}
