import { InvalidArgumentError, type Command } from 'commander';
import type { Commitment } from '#client';
import { idArgument, withBroker } from '../../command.js';
import { instant, money, oneOf } from '../../flags.js';
import { amountColumn, print, rowsText, type Column } from '../../output.js';
import { jsonText } from '../../text.js';

const organization = idArgument('org');
const asOrganization = (id: string) => ({ id: id as `org_${string}` });

/** "12.5" percent as hundredths of a percent. */
function percent(text: string): number {
  const match = /^(\d{1,3})(?:\.(\d{1,2}))?$/.exec(text);
  const bps = match ? Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0')) : NaN;
  if (!(bps <= 10_000)) throw new InvalidArgumentError('It is a percentage from 0 to 100, such as 12.5.');
  return bps;
}

export const commitmentColumns: readonly Column<Commitment>[] = [
  { title: 'id', of: (r) => r.id },
  { title: 'project', of: (r) => r.projectId ?? 'all' },
  { title: 'per', of: (r) => r.per },
  amountColumn('amount', (r) => r.amount),
  { title: 'discount %', of: (r) => (r.discountBps / 100).toFixed(2), right: true },
  { title: 'from', of: (r) => r.startsAt },
  { title: 'to', of: (r) => r.endsAt },
  { title: 'settled to', of: (r) => r.settledThrough },
  amountColumn('owed', (r) => r.owed),
];

export function registerAdminPlans(admin: Command): void {
  const plans = admin.command('plans').description('the price book’s plans, and who is on which');
  plans
    .command('ls')
    .description('the plans of the price book in force')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin plans ls')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listPriceBooks } = await import('#client');
        const { items, inForce } = await answerOf(listPriceBooks({ client }));
        const book = items.find((b) => b.version === inForce);
        const rows = Object.entries(book?.terms.plans ?? {}).map(([plan, { discountBps }]) => ({ plan, discountBps }));
        print(
          rowsText(
            rows,
            [
              { title: 'plan', of: (r) => r.plan },
              { title: 'discount %', of: (r) => (r.discountBps / 100).toFixed(2), right: true },
            ],
            output,
          ),
        );
      }),
    );
  plans
    .command('get')
    .argument('<org>', 'a tenant', organization)
    .description('which plan a tenant is on, and was')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin plans get org_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, org: string) => {
        const { answerOf, getPlan } = await import('#client');
        const { plan, history } = await answerOf(getPlan({ client, path: asOrganization(org) }));
        if (output.json) return print(`${jsonText({ plan, history })}\n`);
        print(
          rowsText(
            history,
            [
              { title: 'plan', of: (r) => r.plan ?? 'none' },
              { title: 'from', of: (r) => r.effectiveAt },
            ],
            output,
          ),
        );
        if (output.table) print(`now: ${plan ?? 'none'}\n`);
      }),
    );
  const change = async (
    { client }: Parameters<Parameters<typeof withBroker>[0]>[0],
    org: string,
    plan: string | null,
    from: string | undefined,
  ) => {
    const { answerOf, setPlan } = await import('#client');
    const body = { plan, ...(from === undefined ? {} : { effectiveAt: from }) };
    await answerOf(setPlan({ client, path: asOrganization(org), body }));
  };
  plans
    .command('set')
    .argument('<org>', 'a tenant', organization)
    .argument('<plan>', 'of the price book')
    .description('put a tenant on a plan; what is rented already keeps its price')
    .option('--from <time>', 'ISO 8601; else now', instant)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin plans set org_01j00000000000000000000000 startup')
    .action(withBroker((run, org: string, plan: string, o: { from?: string }) => change(run, org, plan, o.from)));
  plans
    .command('rm')
    .argument('<org>', 'a tenant', organization)
    .description('take a tenant off its plan')
    .option('--from <time>', 'ISO 8601; else now', instant)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin plans rm org_01j00000000000000000000000')
    .action(withBroker((run, org: string, o: { from?: string }) => change(run, org, null, o.from)));
  registerAdminCommitments(admin);
}

interface CommitmentFlags {
  project?: string;
  per: 'hour' | 'month';
  amount: string;
  discount: number;
  from?: string;
  until: string;
}

function registerAdminCommitments(admin: Command): void {
  const list = admin.command('commitments').description('tenants’ promises of spending, for a discount');
  list
    .command('ls')
    .argument('<org>', 'a tenant', organization)
    .description('list a tenant’s commitments, newest first')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin commitments ls org_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, org: string) => {
        const { answerOf, listCommitments } = await import('#client');
        const { items } = await answerOf(listCommitments({ client, path: asOrganization(org) }));
        print(rowsText(items, commitmentColumns, output));
      }),
    );
  list
    .command('add')
    .argument('<org>', 'a tenant', organization)
    .description('note a promise; what is promised and not spent is charged after each month')
    .requiredOption('--per <hour|month>', 'of the promise', oneOf(['hour', 'month']))
    .requiredOption('--amount <dollars>', 'to spend in each', money)
    .requiredOption('--discount <percent>', 'off the price meanwhile', percent)
    .requiredOption('--until <time>', 'when it ends, ISO 8601', instant)
    .option('--from <time>', 'when it starts; else now', instant)
    .option('--project <id>', 'of this project alone; else of all together', idArgument('prj'))
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin commitments add org_01j00000000000000000000000 --per month --amount 5000 --discount 12.5 --until 2027-12-01',
    )
    .action(
      withBroker(async ({ client, output }, org: string, o: CommitmentFlags) => {
        const { answerOf, addCommitment } = await import('#client');
        const body = {
          per: o.per,
          amount: o.amount,
          discountBps: o.discount,
          endsAt: o.until,
          ...(o.project === undefined ? {} : { projectId: o.project as `prj_${string}` }),
          ...(o.from === undefined ? {} : { startsAt: o.from }),
        };
        const made = await answerOf(addCommitment({ client, path: asOrganization(org), body }));
        print(output.json ? `${jsonText(made)}\n` : rowsText([made], commitmentColumns, output));
      }),
    );
}

/** What a tenant has promised itself. */
export function registerCommitments(berth: Command): void {
  berth
    .command('commitments')
    .description('what your organization has promised to spend, and the discount for it')
    .addHelpText('after', '\nExamples:\n  berth commitments')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listOwnCommitments } = await import('#client');
        const { items } = await answerOf(listOwnCommitments({ client }));
        print(rowsText(items, commitmentColumns, output));
      }),
    );
}
