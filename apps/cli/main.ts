import { Command, CommanderError } from 'commander';
import { registerAccount } from './commands/account.js';
import { registerHosts } from './commands/hosts.js';
import { registerJobs } from './commands/jobs.js';
import { registerLocal } from './commands/local.js';
import { registerMarket } from './commands/market.js';
import { registerMoney } from './commands/money.js';
import { EXIT, exitOf, tell, UsageError } from './exit.js';

/** `berth NOUN VERB [ID]`. What a command does is loaded when it runs, so that help and start are quick. */
function program(): Command {
  const berth = new Command('berth')
    .description('A broker for GPU capacity: the cheapest honest offer, rented, run, metered.')
    .option('--json', 'print the API’s JSON instead of tables')
    .option('--quiet', 'say nothing on standard error but errors')
    .option('--profile <name>', 'login to use', 'default')
    .showSuggestionAfterError(true)
    .showHelpAfterError('(add --help for what there is)')
    .configureOutput({ writeOut: (text) => process.stdout.write(text), writeErr: (text) => process.stderr.write(text) })
    .exitOverride();
  registerLocal(berth);
  registerAccount(berth);
  registerMarket(berth);
  registerJobs(berth);
  registerHosts(berth);
  registerMoney(berth);
  overrideExits(berth);
  return berth;
}

/** Subcommands do not inherit `exitOverride`. */
function overrideExits(command: Command): void {
  for (const child of command.commands) {
    child.exitOverride();
    child.showHelpAfterError('(add --help for what there is)');
    overrideExits(child);
  }
}

// A reader that closes early (`berth offers | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : EXIT.failed));

try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage;
  } else {
    const { code, text } = exitOf(error, process.argv.includes('--json'));
    tell(text);
    if (error instanceof UsageError) tell('Add --help to see how the command is used.');
    process.exitCode = code;
  }
}
