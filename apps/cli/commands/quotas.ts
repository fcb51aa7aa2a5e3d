import type { Command } from 'commander';
import type { Quota } from '#client';
import { idArgument, withBroker } from '../command.js';
import { UsageError } from '../exit.js';
import { instant, money, oneOf, wholeNumber } from '../flags.js';
import { factsText, print, rowsText, type Output } from '../output.js';
import { dollars } from '../text.js';

const WINDOWS = ['minute', 'hour', 'day', 'month'] as const;

/** `berth quotas`: what a tenant may use, and what is in use. */
export function registerQuotas(berth: Command): void {
  berth
    .command('quotas')
    .description('show limits and what is in use')
    .addHelpText('after', '\nExamples:\n  berth quotas\n  berth quotas --json')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listQuotas } = await import('#client');
        print(quotaRows((await answerOf(listQuotas({ client }))).items, output));
      }),
    );
}

interface SetFlags {
  org?: string;
  project?: string;
  key?: string;
  per?: (typeof WINDOWS)[number];
  soft?: boolean;
  stopNewest?: boolean;
  cohort?: string;
  borrow?: string;
  lend?: string;
}

/** `berth admin quotas`, `admin credit-limit` and `admin grant`. */
export function registerAdminQuotas(admin: Command): void {
  const quotas = admin.command('quotas').description('limits on what tenants use');
  quotas
    .command('ls')
    .argument('<organization>', 'whose', idArgument('org'))
    .description('list the limits of an organization')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin quotas ls org_01j…')
    .action(
      withBroker(async ({ client, output }, organization: string) => {
        const { answerOf, listOrganizationQuotas } = await import('#client');
        // The argument was checked for its form.
        const query = { organizationId: organization as `org_${string}` };
        print(quotaRows((await answerOf(listOrganizationQuotas({ client, query }))).items, output));
      }),
    );
  quotas
    .command('set')
    .argument('<dimension>', 'gpus, gpus:NAME, leases, jobs-queued, storage-bytes, spend, requests, tokens')
    .argument('<limit>', 'a count; dollars for spend')
    .description('set a limit of an organization, a project or a key')
    .option('--org <id>', 'for an organization', idArgument('org'))
    .option('--project <id>', 'for a project', idArgument('prj'))
    .option('--key <id>', 'for a key', idArgument('key'))
    .option('--per <window>', WINDOWS.join(', '), oneOf(WINDOWS))
    .option('--soft', 'refuse nothing, only tell')
    .option('--stop-newest', 'stop the newest leases when more is in use')
    .option('--cohort <name>', 'lend to and borrow from the others of this name (GPUs)')
    .option('--borrow <n>', 'most that is borrowed', digits)
    .option('--lend <n>', 'most that is lent', digits)
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin quotas set gpus:H100 16 --org org_01j…\n  berth --profile admin admin quotas set spend 500 --per month --project prj_01j…',
    )
    .action(
      withBroker(async ({ client, output }, dimension: string, limit: string, o: SetFlags) => {
        const { answerOf, setQuota } = await import('#client');
        const scopes = [
          ['organization', o.org],
          ['project', o.project],
          ['key', o.key],
        ] as const;
        const [named, more] = scopes.flatMap(([scope, id]) => (id === undefined ? [] : [{ scope, scopeId: id }]));
        if (!named || more) throw new UsageError('say whose it is: one of --org, --project, --key');
        const answer = await answerOf(
          setQuota({
            client,
            body: {
              ...named,
              dimension,
              limit: dimension === 'spend' ? money(limit) : digits(limit),
              ...(o.per === undefined ? {} : { per: o.per }),
              ...(o.soft ? { mode: 'soft' as const } : {}),
              ...(o.stopNewest ? { policy: 'stop-newest' as const } : {}),
              ...(o.cohort === undefined ? {} : { cohort: o.cohort }),
              ...(o.borrow === undefined ? {} : { borrowingLimit: o.borrow }),
              ...(o.lend === undefined ? {} : { lendingLimit: o.lend }),
            },
          }),
        );
        print(quotaRows([answer.quota], output));
      }),
    );
  quotas
    .command('rm')
    .argument('<id>', 'a quota', idArgument('quo'))
    .description('remove a limit')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin quotas rm quo_01j…')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, removeQuota } = await import('#client');
        print(quotaRows([await answerOf(removeQuota({ client, path: { id: id as `quo_${string}` } }))], output));
      }),
    );
  admin
    .command('credit-limit')
    .argument('<organization>', 'a tenant', idArgument('org'))
    .argument('<dollars>', 'how far below zero its available credit may go', money)
    .description('let a tenant pay afterwards, up to a limit')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin credit-limit org_01j… 500')
    .action(
      withBroker(async ({ client, output }, organization: string, limit: string) => {
        const { answerOf, setCreditLimit } = await import('#client');
        const path = { id: organization as `org_${string}` };
        const c = await answerOf(setCreditLimit({ client, path, body: { limit } }));
        print(
          factsText(
            c,
            [
              ['limit', dollars(c.limit)],
              ['available', dollars(c.available)],
              ['held', dollars(c.held)],
            ],
            output,
          ),
        );
      }),
    );
  admin
    .command('grant')
    .argument('<organization>', 'a tenant', idArgument('org'))
    .argument('<dollars>', 'how much', money)
    .description('give promotional credit, once for each reference')
    .requiredOption('--reference <name>', 'what it is for')
    .option('--expires <time>', 'ISO 8601; what is left goes back then', instant)
    .option('--priority <n>', 'lower ones are spent first', wholeNumber(0, 1_000), 0)
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin grant org_01j… 25 --reference welcome --expires 2027-01-01T00:00:00Z',
    )
    .action(
      withBroker(
        async (
          { client, output },
          organization: string,
          amountNano: string,
          o: { reference: string; expires?: string; priority: number },
        ) => {
          const { answerOf, giveGrant } = await import('#client');
          const { reference, expires, priority } = o;
          const body = { amountNano, reference, priority, ...(expires === undefined ? {} : { expiresAt: expires }) };
          const g = await answerOf(giveGrant({ client, path: { id: organization as `org_${string}` }, body }));
          print(
            factsText(
              g,
              [
                ['id', g.id],
                ['amount', dollars(g.amount)],
                ['spent', dollars(g.spent)],
                ['state', g.state],
              ],
              output,
            ),
          );
        },
      ),
    );
}

function digits(text: string): string {
  if (!/^\d{1,36}$/.test(text)) throw new UsageError(`"${text}" is not a whole number`);
  return text;
}

function quotaRows(rows: readonly Quota[], output: Output): string {
  const amount = (q: Quota, n: string): string => (q.dimension === 'spend' ? dollars(n) : n);
  return rowsText(
    rows,
    [
      { title: 'id', of: (q) => q.id },
      { title: 'of', of: (q) => q.scopeId },
      { title: 'dimension', of: (q) => q.dimension },
      { title: 'per', of: (q) => (q.per === 'ever' ? '' : q.per) },
      { title: 'used', of: (q) => amount(q, q.used), right: true },
      { title: 'limit', of: (q) => amount(q, q.limit), right: true },
      { title: 'mode', of: (q) => q.mode },
      { title: 'cohort', of: (q) => q.cohort ?? '' },
    ],
    output,
  );
}
