import type { Command } from 'commander';

const COLUMNS = 110;

/** The help of every command that does something, as Markdown; docs/cli.md ends with it. */
export function referenceOf(program: Command): string {
  return [program, ...leavesOf(program)]
    .map((command) => `### ${nameOf(command)}\n\n\`\`\`text\n${helpOf(command)}\n\`\`\`\n`)
    .join('\n');
}

/** Commands that do something: those without commands of their own, and those that have flags beside them. */
export function leavesOf(command: Command): Command[] {
  return command.commands.flatMap((child) => {
    if (child.commands.length === 0) return [child];
    return child.options.length > 0 ? [child, ...leavesOf(child)] : leavesOf(child);
  });
}

export function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();
}

/** What `--help` prints, at one width everywhere. */
export function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => COLUMNS });
  command.outputHelp();
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .trim();
}
