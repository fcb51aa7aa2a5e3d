import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import type { Payout } from '#client';
import { idArgument, pages, withBroker, type Run } from '../../command.js';
import { centsOption, money, monthValue, oneOf, wholeNumber } from '../../flags.js';
import { answeredOnce } from '../../once.js';
import { factsText, print, rowsText } from '../../output.js';
import { jsonText } from '../../text.js';
import { centsText } from '../invoices.js';
import { disputeColumns, payoutColumns, payoutText, statementColumns } from '../payouts.js';

const STATES = [
  'proposed',
  'awaiting',
  'intended',
  'calling',
  'unknown',
  'retrying',
  'paid',
  'failed',
  'reversed',
  'canceled',
] as const;
const REASONS = ['failed-probe', 'sla-breach', 'other'] as const;
const METHODS = ['manual', 'transfer'] as const;

const payoutId = idArgument('po');
const providerId = idArgument('prv');
const of = (provider: string | undefined) =>
  provider === undefined ? {} : { providerId: provider as `prv_${string}` };

export function registerAdminPayouts(admin: Command): void {
  const payouts = admin.command('payouts').description('what providers are paid');
  payouts
    .command('run')
    .argument('<month>', 'a month that is over, such as 2026-10', monthValue)
    .description('make the month’s statements, and set its payouts aside; again makes what is missing')
    .option('--provider <id>', 'for one provider', providerId)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin payouts run 2026-10')
    .action(
      withBroker(async ({ client, output }, month: string, o: { provider?: string }) => {
        const { answerOf, runPayouts } = await import('#client');
        const report = await answerOf(runPayouts({ client, body: { month, ...of(o.provider) } }));
        if (output.json) return print(`${jsonText(report)}\n`);
        print(rowsText(report.made, statementColumns, output));
        const failed = report.failed.map((f) => `${f.providerId}: ${f.message}\n`).join('');
        print(`${report.made.length} made, ${report.known} were there already\n${failed}`);
      }),
    );
  payouts
    .command('ls')
    .description('list payouts, newest first')
    .option('--state <state>', STATES.join(', '), oneOf(STATES))
    .option('--provider <id>', 'of one provider', providerId)
    .option('--limit <n>', 'most payouts', wholeNumber(1, 10_000), 50)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin payouts ls --state proposed')
    .action(
      withBroker(
        async ({ client, output }, o: { state?: (typeof STATES)[number]; provider?: string; limit: number }) => {
          const { answerOf, listAllPayouts } = await import('#client');
          const filter = { ...(o.state === undefined ? {} : { state: o.state }), ...of(o.provider) };
          const rows = await pages(o.limit, (cursor, limit) =>
            answerOf(
              listAllPayouts({ client, query: { ...filter, limit, ...(cursor === undefined ? {} : { cursor }) } }),
            ),
          );
          print(rowsText(rows, [{ title: 'provider', of: (r) => r.providerId }, ...payoutColumns], output));
        },
      ),
    );
  payouts
    .command('statements')
    .description('list statements, newest month first')
    .option('--provider <id>', 'of one provider', providerId)
    .option('--limit <n>', 'most statements', wholeNumber(1, 10_000), 50)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin payouts statements')
    .action(
      withBroker(async ({ client, output }, o: { provider?: string; limit: number }) => {
        const { answerOf, listAllPayoutStatements } = await import('#client');
        const rows = await pages(o.limit, (cursor, limit) => {
          const query = { ...of(o.provider), limit, ...(cursor === undefined ? {} : { cursor }) };
          return answerOf(listAllPayoutStatements({ client, query }));
        });
        print(rowsText(rows, [{ title: 'provider', of: (r) => r.provider }, ...statementColumns], output));
      }),
    );
  registerActions(payouts);
  registerDisputes(payouts);
  registerTerms(payouts);
}

function registerActions(payouts: Command): void {
  const action = (name: string, about: string, flag: readonly [string, string] | null) => {
    const command = payouts.command(name).argument('<id>', 'a payout', payoutId).description(about);
    if (flag) command.requiredOption(`--${flag[0]} <text>`, flag[1]);
    const example = `berth --profile admin admin payouts ${name} po_01j00000000000000000000000`;
    command.addHelpText('after', `\nExamples:\n  ${example}${flag ? ` --${flag[0]} "wire 17"` : ''}`);
    return command;
  };
  const done =
    <O extends unknown[]>(work: (run: Run, path: { id: `po_${string}` }, ...o: O) => Promise<Payout>) =>
    async (run: Run, id: string, ...o: O): Promise<void> =>
      print(payoutText(await work(run, { id: id as `po_${string}` }, ...o), run.output));
  action('approve', 'let a proposed payout go, as the provider’s terms say', null).action(
    withBroker(
      done(async ({ client }, path) => {
        const { answerOf, approvePayout } = await import('#client');
        return answerOf(approvePayout({ client, path }));
      }),
    ),
  );
  action('pay', 'try a payout again that failed', null).action(
    withBroker(
      done(async ({ client }, path) => {
        const { answerOf, sendPayout } = await import('#client');
        return answerOf(sendPayout({ client, path }));
      }),
    ),
  );
  action('paid', 'say that a payout was paid by hand', ['reference', 'what the bank calls it']).action(
    withBroker(
      done(async ({ client }, path, body: { reference: string }) => {
        const { answerOf, markPayoutPaid } = await import('#client');
        return answerOf(markPayoutPaid({ client, path, body: { reference: body.reference } }));
      }),
    ),
  );
  action('cancel', 'give up a payout that was not sent; it is due again', ['reason', 'for the provider']).action(
    withBroker(
      done(async ({ client }, path, { reason }: { reason: string }) => {
        const { answerOf, cancelPayout } = await import('#client');
        return answerOf(cancelPayout({ client, path, body: { reason } }));
      }),
    ),
  );
  const reverse = action('reverse', 'take a paid payout back, or a part of it; it is due again', [
    'reason',
    'for the provider',
  ]);
  reverse
    .option('--amount <dollars>', 'a part of it; without: all that is left', centsOption)
    .option('--idempotency-key <key>', 'the same key takes it back once')
    .action(
      withBroker(
        done(async (run, path, { reason, amount, idempotencyKey: key = randomUUID() }: Reversal) => {
          const { answerOf, reversePayout } = await import('#client');
          const body = { reason, ...(amount === undefined ? {} : { amountCents: amount }) };
          const headers = { 'Idempotency-Key': key };
          const once = { key, unsure: 'it may have been taken back', again: 'takes it back once' };
          return answeredOnce(run, once, answerOf(reversePayout({ client: run.client, path, body, headers })));
        }),
      ),
    );
}

interface Reversal {
  reason: string;
  amount?: string;
  idempotencyKey?: string;
}

interface NewDispute {
  provider: string;
  amount: string;
  reason: (typeof REASONS)[number];
  note: string;
  lease?: string;
}

function registerDisputes(payouts: Command): void {
  payouts
    .command('disputes')
    .description('list disputes with providers, newest first')
    .option('--provider <id>', 'with one provider', providerId)
    .option('--limit <n>', 'most disputes', wholeNumber(1, 10_000), 50)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin payouts disputes')
    .action(
      withBroker(async ({ client, output }, o: { provider?: string; limit: number }) => {
        const { answerOf, listAllPayoutDisputes } = await import('#client');
        const rows = await pages(o.limit, (cursor, limit) => {
          const query = { ...of(o.provider), limit, ...(cursor === undefined ? {} : { cursor }) };
          return answerOf(listAllPayoutDisputes({ client, query }));
        });
        print(rowsText(rows, [{ title: 'provider', of: (r) => r.providerId }, ...disputeColumns], output));
      }),
    );
  payouts
    .command('dispute')
    .description('dispute an amount with a provider; it leaves what is due at once')
    .requiredOption('--provider <id>', 'with whom', providerId)
    .requiredOption('--amount <dollars>', 'how much', money)
    .requiredOption('--reason <reason>', REASONS.join(', '), oneOf(REASONS))
    .requiredOption('--note <text>', 'what happened')
    .option('--lease <id>', 'on which lease', idArgument('lease'))
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin payouts dispute --provider prv_01j00000000000000000000000 --amount 12.50 --reason sla-breach --note "slow disks"',
    )
    .action(
      withBroker(async ({ client, output }, o: NewDispute) => {
        const { answerOf, openPayoutDispute } = await import('#client');
        const { amount, reason, note } = o;
        const body = {
          providerId: o.provider as `prv_${string}`,
          leaseId: o.lease === undefined ? null : (o.lease as `lease_${string}`),
          amount,
          reason,
          note,
        };
        print(rowsText([await answerOf(openPayoutDispute({ client, body }))], disputeColumns, output));
      }),
    );
  for (const [name, as, about] of [
    ['uphold', 'upheld', 'the provider is not owed it'],
    ['dismiss', 'dismissed', 'it is due again'],
  ] as const)
    payouts
      .command(name)
      .argument('<id>', 'a dispute', idArgument('pds'))
      .description(`end a dispute: ${about}`)
      .requiredOption('--resolution <text>', 'for the provider')
      .addHelpText(
        'after',
        `\nExamples:\n  berth --profile admin admin payouts ${name} pds_01j00000000000000000000000 --resolution "seen in the logs"`,
      )
      .action(
        withBroker(async ({ client, output }, id: string, { resolution }: { resolution: string }) => {
          const { answerOf, resolvePayoutDispute } = await import('#client');
          const path = { id: id as `pds_${string}` };
          const dispute = await answerOf(resolvePayoutDispute({ client, path, body: { as, resolution } }));
          print(rowsText([dispute], disputeColumns, output));
        }),
      );
}

interface TermsFlags {
  holdbackPercent?: number;
  holdbackDays?: number;
  minimum?: string;
  method?: (typeof METHODS)[number];
  autoPay?: boolean;
  autoDispute?: boolean;
}

function registerTerms(payouts: Command): void {
  payouts
    .command('terms')
    .argument('<provider>', 'a provider', providerId)
    .description('show how a provider is paid; with options, change it')
    .option('--holdback-percent <n>', 'the part of each statement that is kept back', wholeNumber(0, 100))
    .option('--holdback-days <n>', 'for how long after the month’s end', wholeNumber(0, 365))
    .option('--minimum <dollars>', 'what is due below this carries over', centsOption)
    .option('--method <method>', METHODS.join(', '), oneOf(METHODS))
    .option('--auto-pay', 'transfers go out without approval')
    .option('--no-auto-pay', 'each payout is approved')
    .option('--auto-dispute', 'failed starts and lost machines open disputes')
    .option('--no-auto-dispute', 'disputes are opened by hand')
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin payouts terms prv_01j00000000000000000000000 --holdback-percent 5 --method transfer',
    )
    .action(
      withBroker(async ({ client, output }, id: string, o: TermsFlags) => {
        const { answerOf, getPayoutTerms, setPayoutTerms } = await import('#client');
        const path = { id: id as `prv_${string}` };
        const body = {
          ...(o.holdbackPercent === undefined ? {} : { holdbackBps: o.holdbackPercent * 100 }),
          ...(o.holdbackDays === undefined ? {} : { holdbackDays: o.holdbackDays }),
          ...(o.minimum === undefined ? {} : { minimumCents: o.minimum }),
          ...(o.method === undefined ? {} : { method: o.method }),
          ...(o.autoPay === undefined ? {} : { autoPay: o.autoPay }),
          ...(o.autoDispute === undefined ? {} : { autoDispute: o.autoDispute }),
        };
        const terms =
          Object.keys(body).length === 0
            ? await answerOf(getPayoutTerms({ client, path }))
            : await answerOf(setPayoutTerms({ client, path, body }));
        print(
          factsText(
            terms,
            [
              ['provider', terms.provider],
              ['holdback', `${terms.holdbackBps / 100} % for ${terms.holdbackDays} days`],
              ['minimum', centsText(terms.minimumCents)],
              ['method', terms.method],
              ['pays by itself', terms.autoPay ? 'yes' : 'no'],
              ['disputes by itself', terms.autoDispute ? 'yes' : 'no'],
              ['set at', terms.updatedAt ?? 'never: those of its kind'],
            ],
            output,
          ),
        );
      }),
    );
}
