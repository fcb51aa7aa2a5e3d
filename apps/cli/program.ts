import { Command } from 'commander';
import { registerAccount } from './commands/account.js';
import { registerAdmin } from './commands/admin/admin.js';
import { registerCatalog } from './commands/catalog.js';
import { registerCommitments } from './commands/admin/plans.js';
import { registerBilling } from './commands/billing.js';
import { registerStatement } from './commands/ledger.js';
import { registerFiles } from './commands/files.js';
import { registerHosts } from './commands/hosts.js';
import { registerInvoices } from './commands/invoices.js';
import { registerJobs } from './commands/jobs.js';
import { registerLocal } from './commands/local.js';
import { registerMarket } from './commands/market.js';
import { registerPayouts } from './commands/payouts.js';
import { registerQuotas } from './commands/quotas.js';
import { registerQuotes } from './commands/quotes.js';
import { registerSize } from './commands/size.js';
import { registerMoney } from './commands/money.js';
import { registerUsage } from './commands/usage.js';
import { registerUsageEvents } from './commands/usage-events.js';
import { VERSION } from './version.js';

/**
 * `berth NOUN VERB [ID]`. What a command does is loaded when it runs, so that help and start are quick.
 * `complain` gets what is wrong with the command line; the parse itself throws.
 */
export function program(complain: (text: string) => void = () => undefined): Command {
  const berth = new Command('berth')
    .description('A broker for GPU capacity: the cheapest honest offer, rented, run, metered.')
    .option('--json', 'print the API’s JSON instead of tables; problems as JSON on standard error')
    .option('--csv', 'print lists as CSV, with exact amounts in dollars')
    .option('--quiet', 'say nothing on standard error but errors')
    .option('--profile <name>', 'login to use', 'default')
    .showSuggestionAfterError(true)
    .version(VERSION, '--version', 'print the version')
    .showHelpAfterError('Add --help to see how the command is used.')
    .configureOutput({
      writeOut: (text) => process.stdout.write(text),
      writeErr: complain,
      outputError: (text, write) => write(text.replace(/^error: /, 'berth: ')),
    })
    .exitOverride()
    .addHelpText(
      'after',
      '\nExamples:\n  berth up --detach\n  berth offers --gpu H100 --sort gpu-price\n  berth jobs submit --model universal-sentence-encoder --input texts.jsonl --wait',
    );
  // Commands take over these settings when they are made.
  registerLocal(berth);
  registerAccount(berth);
  registerMarket(berth);
  registerCatalog(berth);
  registerQuotes(berth);
  registerSize(berth);
  registerJobs(berth);
  registerFiles(berth);
  registerHosts(berth);
  registerUsageEvents(registerUsage(berth));
  registerMoney(berth);
  registerStatement(berth);
  registerQuotas(berth);
  registerInvoices(berth);
  registerCommitments(berth);
  registerBilling(berth);
  registerPayouts(berth);
  registerAdmin(berth);
  return berth;
}
