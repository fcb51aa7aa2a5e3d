import { CommanderError } from 'commander';
import { EXIT, exitOf, ownProblem, tell, UsageError } from './exit.js';
import { program } from './program.js';

// A reader that closes early (`berth offers | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : EXIT.failed));

const args = process.argv.slice(2);
// Known before the line is understood: a line that is not understood is a problem as well.
const ours = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
const json = ours.includes('--json');
const complaints: string[] = [];

try {
  await program((text) => complaints.push(text)).parseAsync(args, { from: 'user' });
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (error.exitCode !== 0 && json) {
      const what =
        error.code === 'commander.help' ? 'a command is missing\nAdd --help to see what there is.' : error.message;
      tell(ownProblem(EXIT.usage, what.replace(/^error: /, '')));
    } else {
      if (complaints.length > 0) tell(complaints.join('').trimEnd());
    }
  } else {
    const { code, text } = exitOf(error, json);
    tell(text);
    if (error instanceof UsageError && !json) tell('Add --help to see how the command is used.');
    process.exitCode = code;
  }
}
