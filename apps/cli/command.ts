import type { Command } from 'commander';
import { UsageError } from './exit.js';
import { outputOf, type Output } from './output.js';
import { openSession, type Session } from './session.js';

export interface Run extends Session {
  readonly output: Output;
}

/** Flags that every command takes, wherever they stand on the line. */
export function flagsOf(command: Command): { json?: boolean; csv?: boolean; quiet?: boolean; profile: string } {
  return command.optsWithGlobals<{ json?: boolean; csv?: boolean; quiet?: boolean; profile: string }>();
}

/** An action with a session and an output; `work` gets the command's arguments and options. */
export function withBroker<A extends unknown[]>(work: (run: Run, ...args: A) => Promise<void>) {
  return async (...given: unknown[]): Promise<void> => {
    // Commander hands over arguments, options, and the command itself last.
    const command = given.at(-1) as Command;
    const { profile, ...flags } = flagsOf(command);
    const session = await openSession(profile);
    await work({ ...session, output: outputOf(flags) }, ...(given.slice(0, -1) as A));
  };
}

/** What takes an id of each kind. */
const TAKERS = {
  job: 'berth jobs get',
  art: 'berth files get',
  use: 'berth usage unattributed attribute',
  pl: 'berth placement get',
  qt: 'berth quotes get',
  lease: 'berth leases get',
  host: 'berth hosts get',
  inv: 'berth invoice',
  pay: 'berth billing payments',
  prj: 'berth jobs submit --project',
  key: 'berth keys revoke',
  org: 'berth orgs credit',
  quo: 'berth admin quotas rm',
  rsv: 'berth admin reservations get',
  crn: 'berth admin invoices refunded',
  prv: 'berth admin vendor-invoices list --provider',
  vin: 'berth admin vendor-invoices show',
  vcm: 'berth admin vendor-invoices accept VIN --difference',
  po: 'berth admin payouts approve',
  pst: 'berth payouts statement',
  pds: 'berth admin payouts dismiss',
} as const;
const KINDS: Readonly<Record<string, string>> = TAKERS;

/** An id of the kind that a command wants; another kind is answered with the command that takes it. */
export function idArgument(prefix: keyof typeof TAKERS) {
  return (text: string): string => {
    if (new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`).test(text)) return text;
    const kind = /^([a-z]+)_/.exec(text)?.[1] ?? '';
    if (kind === prefix) throw new UsageError(`"${text}" is not a whole id: ${prefix}_ and 26 characters`);
    const other = kind === 'off' ? '`berth offers` lists offers' : KINDS[kind] && `try \`${KINDS[kind]} ${text}\``;
    throw new UsageError(
      other ? `${text} is not a ${prefix}_ id; ${other}` : `"${text}" is not an id such as ${prefix}_01j…`,
    );
  };
}

/** Every page of a list, or as many rows as asked. */
export async function pages<T>(
  limit: number | null,
  read: (cursor: string | undefined, size: number) => Promise<{ items: T[]; nextCursor: string | null }>,
): Promise<T[]> {
  const rows: T[] = [];
  let cursor: string | undefined;
  for (;;) {
    const size = Math.min(200, limit === null ? 200 : limit - rows.length);
    const page = await read(cursor, size);
    rows.push(...page.items);
    if (page.nextCursor === null || (limit !== null && rows.length >= limit))
      return limit === null ? rows : rows.slice(0, limit);
    cursor = page.nextCursor;
  }
}
