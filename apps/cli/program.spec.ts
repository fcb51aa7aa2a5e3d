import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { CommanderError } from 'commander';
import { UsageError } from './exit.js';
import { program } from './program.js';
import { helpOf, leavesOf, nameOf, referenceOf } from './reference.js';
import { VERSION } from './version.js';

const ID = '01j00000000000000000000000';

/** What the parser says of a line that is wrong. */
async function complaint(...args: string[]): Promise<string> {
  const said: string[] = [];
  try {
    await program((text) => said.push(text)).parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return said.join('');
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error('the line was taken');
}

it('the version is the package’s', () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
    version: string;
  };
  expect(VERSION).toBe(version);
});

describe('the commands', () => {
  it.each(leavesOf(program()).map((command) => [nameOf(command), command] as const))(
    '%s has a description, described options and examples that name it',
    (name, command) => {
      expect(command.description()).not.toBe('');
      expect(command.options.filter((o) => o.description === '')).toEqual([]);
      const [, examples = ''] = helpOf(command).split('Examples:\n');
      expect(examples).toMatch(new RegExp(`berth( --profile \\w+)? ${name.replace(/^berth /, '')}\\b`));
    },
  );

  it('are all in docs/cli.md, as --help prints them', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/cli.md'), 'utf8');
    // When this fails: npm run docs:cli
    expect(page.split('<!-- commands -->\n\n')[1]).toBe(referenceOf(program()));
  });

  it.each([
    [['jbos', 'ls'], 'Did you mean jobs?'],
    [['jobs', 'lst'], 'Did you mean ls?'],
    [['offers', '--gpus', 'H100'], 'Did you mean --gpu?'],
    [['jobs', 'get'], "missing required argument 'id'"],
    [['offers', 'H100'], 'too many arguments'],
    [['jobs', 'get', `lease_${ID}`], `lease_${ID} is not a job_ id; try \`berth leases get lease_${ID}\``],
    [['leases', 'get', `job_${ID}`], `try \`berth jobs get job_${ID}\``],
    [['placement', 'get', `off_${ID}`], '`berth offers` lists offers'],
    [['jobs', 'get', 'job_01'], 'is not a whole id'],
    [['jobs', 'watch', 'banana'], '"banana" is not an id such as job_'],
    [['jobs', 'submit', '--project', `job_${ID}`], 'is not a prj_ id'],
    [
      ['offers', '--count', '8.5'],
      "option '--count <n>' argument '8.5' is invalid. It is a whole number from 0 to 64.",
    ],
    [['offers', '--pricing', 'free'], 'It is one of on-demand, spot'],
    [['placement', 'preview', '--hours', '0'], 'It is a number above 0'],
    [['jobs', 'submit', '--wait', 'banana'], "option '--wait [time]' argument 'banana'"],
    [['jobs', 'submit', '--max-cost', '1e3'], 'It is an amount of dollars'],
    [['jobs', 'submit', '--env', 'X'], 'It is NAME=value'],
    [['jobs', 'cancel', `job_${ID}`, '--wait', 'soon'], 'It is a time such as 90s'],
    [['usage', '--from', 'yesterday'], 'It is a time such as 2026'],
    [['orgs', 'credit', `org_${ID}`, 'abc', '--reference', 'r'], 'It is an amount of dollars'],
  ])('%j is refused with what to do, before anything is asked of a broker', async (args, says) => {
    expect(await complaint(...args)).toContain(says);
  });
});
