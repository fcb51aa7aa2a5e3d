import type { Command } from 'commander';
import { flagsOf, wholeNumber } from '../command.js';
import { outputOf } from '../output.js';

/** A broker on this machine: started, stopped and looked over. */
export function registerLocal(berth: Command): void {
  berth
    .command('up')
    .description('start a broker on this machine: database, API, worker, and this machine as a host')
    .option('--port <n>', 'port of the API; another is taken when it is busy', wholeNumber(1, 65_535), 7070)
    .option('--no-host', 'do not offer this machine as a host')
    .option('--detach', 'return when it runs')
    .addHelpText('after', '\nExamples:\n  berth up --detach && berth offers --gpu H100')
    .action(async (options: { port: number; host: boolean; detach?: boolean }, command: Command) => {
      const { up } = await import('../local/up.js');
      await up({ ...options, detach: options.detach === true, output: outputOf(flagsOf(command)) });
    });
  berth
    .command('down')
    .description('stop the broker of this machine; its data stays')
    .action(async (_options: unknown, command: Command) => {
      const { down } = await import('../local/down.js');
      await down(outputOf(flagsOf(command)));
    });
  berth
    .command('doctor')
    .description('check this machine and its broker')
    .action(async (_options: unknown, command: Command) => {
      const { doctor } = await import('../local/doctor.js');
      await doctor(outputOf(flagsOf(command)));
    });
}
