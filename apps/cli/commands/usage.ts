import type { Command } from 'commander';
import type { Usage, UsageCheck, UsageExplanation } from '#client';
import { withBroker, type Run } from '../command.js';
import { Ended, EXIT, UsageError } from '../exit.js';
import { collect, instant, oneOf } from '../flags.js';
import { saveResults } from '../jobs/results.js';
import { print, rowsText } from '../output.js';
import { dollars, jsonText, quantityText } from '../text.js';

const GROUPS = ['hour', 'day', 'project', 'job', 'resource'] as const;
const DIMENSIONS = ['project', 'provider', 'class', 'resource', 'model', 'sku', 'job', 'endpoint', 'meter'] as const;
type Dimension = (typeof DIMENSIONS)[number];

interface UsageFlags {
  from?: string;
  to?: string;
  by?: (typeof GROUPS)[number];
  bucket?: 'hour' | 'day';
  groupBy?: Dimension[];
  only: string[];
  csv?: boolean;
  output?: string;
}

/** What was used, summed up or explained. */
export function registerUsage(berth: Command): Command {
  const usage = berth
    .command('usage')
    .description('what was used and what it cost')
    .option('--from <time>', 'ISO 8601, default 30 days ago', instant)
    .option('--to <time>', 'ISO 8601, default now', instant)
    .option('--by <group>', `one of ${GROUPS.join(', ')}; default resource`, oneOf(GROUPS))
    .option('--bucket <length>', 'a sum for each hour or day', oneOf(['hour', 'day'] as const))
    .option('--group-by <what>', `a sum for each of ${DIMENSIONS.join(', ')}; several with commas`, dimensions)
    .option('--only <what=value>', 'what is counted, such as model=H100; repeat for more', collect, [])
    .option('--csv', 'comma-separated values')
    .option('-o, --output <file>', 'write the CSV to a file, whole or not at all')
    .addHelpText(
      'after',
      '\nExamples:\n  berth usage --by day\n  berth usage --bucket hour --group-by model,project --only meter=lease-time\n  berth usage --bucket day --csv -o usage.csv',
    )
    .action(withBroker(showUsage));
  usage
    .command('explain')
    .argument('<day>', 'a day (UTC), such as 2026-11-21', dayArgument)
    .description('what ran in each hour of a day, at what price and why')
    .addHelpText('after', '\nExamples:\n  berth usage explain 2026-11-21\n  berth usage explain 2026-11-21 --json')
    .action(
      withBroker(async ({ client, output }, date: string) => {
        const { answerOf, explainUsage } = await import('#client');
        print(explanationText(await answerOf(explainUsage({ client, query: { date } })), output));
      }),
    );
  return usage;
}

function explanationText(day: UsageExplanation, output: Run['output']): string {
  if (output.json) return `${jsonText(day)}\n`;
  const hour = (at: string): string =>
    at.startsWith(day.date) ? at.slice(11, 16) : `${at.slice(5, 10)} ${at.slice(11, 16)}`;
  const lines = rowsText(
    day.hours.flatMap(({ at, lines }) => lines.map((line) => ({ ...line, at }))),
    [
      { title: 'hour', of: (l) => hour(l.at) },
      { title: 'on', of: (l) => l.leaseId ?? l.jobId },
      { title: 'resource', of: (l) => l.resource },
      { title: 'class', of: (l) => l.providerClass },
      { title: 'meter', of: (l) => l.meter },
      {
        title: 'quantity',
        of: (l) => (l.unit === 'ms' ? `${Number(l.quantity) / 1_000} s` : quantityText(l.quantity, l.unit)),
        right: true,
      },
      { title: 'amount', of: (l) => dollars(l.amount), right: true },
      { title: 'why', of: (l) => l.why },
    ],
    output,
  );
  if (!output.table) return lines;
  const notes = day.notes.map((n) => `${n.leaseId}: ${n.why}${n.credit === '0' ? '' : `, ${dollars(n.credit)}`}\n`);
  const grants = day.grants.map(
    (g) =>
      `Promotional credit in force: ${dollars(g.amount)} (${g.reference}${g.expiresAt === null ? '' : `, until ${g.expiresAt.slice(0, 10)}`}), which pays first, as far as it lasts.\n`,
  );
  return `${lines}\n${day.date} was charged ${dollars(day.amount)}.\n${grants.join('')}${notes.join('')}`;
}

async function showUsage(run: Run, o: UsageFlags): Promise<void> {
  const query = questionOf(o);
  if (o.csv === true || o.output !== undefined) {
    const text = new URLSearchParams({ ...query, format: 'csv' });
    return saveResults(run, `/v1/usage?${text.toString()}`, o.output);
  }
  const { answerOf, getUsage } = await import('#client');
  const paged = o.by === undefined && (o.bucket !== undefined || o.groupBy !== undefined);
  const ask = (more: object): Promise<Usage> =>
    answerOf(getUsage({ client: run.client, query: { ...query, ...more } }));
  const usage = await ask(paged ? { limit: 200 } : {});
  for (let { nextCursor } = usage; nextCursor !== null;) {
    const page = await ask({ limit: 200, cursor: nextCursor });
    usage.totals.push(...page.totals);
    ({ nextCursor } = page);
  }
  if (run.output.json) return print(`${jsonText({ ...usage, nextCursor: null })}\n`);
  const groups = (o.groupBy ?? []).filter((d) => d !== 'meter');
  print(
    rowsText(
      usage.totals,
      [
        ...(paged
          ? [
              ...(o.bucket === undefined ? [] : [{ title: o.bucket, of: (r: Total) => bucketText(r, o.bucket) }]),
              ...groups.map((d) => ({ title: d, of: (r: Total) => r[d] ?? '' })),
            ]
          : [{ title: o.by ?? 'resource', of: (r: Total) => r.group }]),
        { title: 'meter', of: (r) => r.meter },
        { title: 'quantity', of: (r) => quantityText(r.quantity, r.unit), right: true },
        { title: 'amount', of: (r) => dollars(r.amount), right: true },
      ],
      run.output,
    ),
  );
}

type Total = Usage['totals'][number];
const bucketText = (r: Total, bucket?: 'hour' | 'day'): string =>
  bucket === 'day' ? (r.at ?? '').slice(0, 10) : (r.at ?? '').slice(0, 16);

/** The flags as the query of the API; a filter is a parameter of its own name. */
function questionOf(o: UsageFlags): Record<string, string> {
  if (o.by !== undefined && (o.bucket !== undefined || o.groupBy !== undefined))
    throw new UsageError('--by does not go with --bucket and --group-by');
  const only = new Map<string, string[]>();
  for (const text of o.only) {
    const [what = '', ...rest] = text.split('=');
    const dimension = DIMENSIONS.find((d) => d === what);
    if (dimension === undefined || rest.join('=') === '')
      throw new UsageError(`--only takes such as model=H100, with one of ${DIMENSIONS.join(', ')}`);
    only.set(dimension, [...(only.get(dimension) ?? []), rest.join('=')]);
  }
  return {
    ...(o.from === undefined ? {} : { from: o.from }),
    ...(o.to === undefined ? {} : { to: o.to }),
    ...(o.by === undefined ? {} : { by: o.by }),
    ...(o.bucket === undefined ? {} : { bucket: o.bucket }),
    ...(o.groupBy === undefined ? {} : { groupBy: o.groupBy.join(',') }),
    ...Object.fromEntries([...only].map(([d, values]) => [d, values.join(',')])),
  };
}

function dimensions(text: string): Dimension[] {
  return text.split(',').map((part) => oneOf(DIMENSIONS)(part.trim()));
}

const DAY_FORM = /^\d{4}-\d{2}-\d{2}$/;
export function dayArgument(text: string): string {
  if (!DAY_FORM.test(text) || Number.isNaN(Date.parse(text)))
    throw new UsageError(`"${text}" is not a day: 2026-11-21`);
  return text;
}

/** For administrators: whether the sums are what the records say. */
export function registerAdminUsage(admin: Command): void {
  const usage = admin.command('usage').description('the sums of usage');
  const today = (): string => new Date().toISOString().slice(0, 10);
  usage
    .command('check')
    .description('compare the sums of whole days with the records; ends with 1 where they differ')
    .option('--from <day>', 'first day (UTC), default 30 days ago', dayArgument)
    .option('--to <day>', 'last day, default today', dayArgument)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin usage check --from 2026-11-01 --to 2026-11-21')
    .action(
      withBroker(async ({ client, output }, o: { from?: string; to?: string }) => {
        const { answerOf, checkUsage } = await import('#client');
        const to = o.to ?? today();
        const from = o.from ?? new Date(Date.parse(to) - 30 * 86_400_000).toISOString().slice(0, 10);
        const check = await answerOf(checkUsage({ client, query: { from, to } }));
        print(checkText(check, output));
        if (check.differences.length > 0)
          throw new Ended(
            EXIT.failed,
            `${check.differences.length} sums are not what the records say.\n  berth admin usage rebuild --from ${from} --to ${to}`,
          );
      }),
    );
  usage
    .command('rebuild')
    .description('make the sums of whole days anew from the records')
    .requiredOption('--from <day>', 'first day (UTC)', dayArgument)
    .requiredOption('--to <day>', 'last day', dayArgument)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin usage rebuild --from 2026-11-20 --to 2026-11-21')
    .action(
      withBroker(async ({ client, output }, o: { from: string; to: string }) => {
        const { answerOf, rebuildUsage } = await import('#client');
        const done = await answerOf(rebuildUsage({ client, body: o }));
        print(
          output.json
            ? `${jsonText(done)}\n`
            : `${done.records} records make ${done.hours} sums of hours and ${done.days} of days.\n`,
        );
      }),
    );
}

function checkText(check: UsageCheck, output: Run['output']): string {
  if (output.json) return `${jsonText(check)}\n`;
  if (check.differences.length === 0 && output.table)
    return `The sums from ${check.from} to ${check.to} are what the records say.\n`;
  return rowsText(
    check.differences,
    [
      { title: 'in', of: (d) => d.keptIn },
      { title: 'at', of: (d) => d.at.slice(0, 16) },
      { title: 'organization', of: (d) => d.organizationId },
      { title: 'meter', of: (d) => `${d.meter} ${d.side}` },
      { title: 'records', of: (d) => `${d.records.kept} of ${d.records.raw}`, right: true },
      { title: 'quantity', of: (d) => `${d.quantity.kept} of ${d.quantity.raw}`, right: true },
      { title: 'amount', of: (d) => `${dollars(d.amount.kept)} of ${dollars(d.amount.raw)}`, right: true },
    ],
    output,
  );
}
