import type { Command } from 'commander';
import { flagsOf } from '../command.js';
import { wholeNumber } from '../flags.js';
import { outputOf, print } from '../output.js';
import { loginOf } from '../session.js';
import { jsonText, shellWord } from '../text.js';

/** A broker on this machine: started, stopped and looked over. */
export function registerLocal(berth: Command): void {
  berth
    .command('up')
    .description('start a broker on this machine: database, API, worker, and this machine as a host')
    .option(
      '--port <n>',
      'port of the API (default: PORT, else 7070); another is taken when it is busy',
      wholeNumber(0, 65_535),
    )
    .option('--no-host', 'do not offer this machine as a host')
    .option('--detach', 'return when it runs')
    .addHelpText('after', '\nExamples:\n  berth up --detach && berth offers --gpu H100')
    .action(async (options: { port?: number; host: boolean; detach?: boolean }, command: Command) => {
      const { up } = await import('../local/up.js');
      const { readConfig } = await import('#platform/config');
      const port = options.port ?? readConfig().port;
      await up({ port, host: options.host, detach: options.detach === true, output: outputOf(flagsOf(command)) });
    });
  berth
    .command('env')
    .description('print the broker and key in use as shell variables')
    .addHelpText('after', '\nExamples:\n  eval "$(berth env)"')
    .action(async (_options: unknown, command: Command) => {
      const { url, key } = await loginOf(flagsOf(command).profile);
      if (outputOf(flagsOf(command)).json) return print(`${jsonText({ url, key })}\n`);
      print(`export BERTH_CLI_URL=${shellWord(url)} BERTH_CLI_KEY=${shellWord(key)}\n`);
    });
  berth
    .command('down')
    .description('stop the broker of this machine; its data stays')
    .addHelpText('after', '\nExamples:\n  berth down')
    .action(async (_options: unknown, command: Command) => {
      const { down } = await import('../local/down.js');
      await down(outputOf(flagsOf(command)));
    });
  berth
    .command('doctor')
    .description('check this machine and its broker')
    .addHelpText('after', '\nExamples:\n  berth doctor\n  berth doctor --json')
    .action(async (_options: unknown, command: Command) => {
      const { doctor } = await import('../local/doctor.js');
      await doctor(outputOf(flagsOf(command)));
    });
}
