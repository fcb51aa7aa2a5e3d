import type { Command } from 'commander';
import { idArgument, pages, withBroker, type Run } from '../command.js';
import { Ended, EXIT, tell, UsageError } from '../exit.js';
import { money, timeSpan, wholeNumber } from '../flags.js';
import { factsText, print, rowsText } from '../output.js';
import { dollars, jsonText } from '../text.js';

type Payment = Awaited<ReturnType<typeof readPayment>>;
type Paying = Awaited<ReturnType<typeof readPaying>>;

const LOOK_EVERY_MS = 1_000;
const OVER = ['settled', 'declined', 'refused', 'disputed', 'charged_back'];

async function readPayment({ client }: Run, id: string) {
  const { answerOf, getPayment } = await import('#client');
  return answerOf(getPayment({ client, path: { id } }));
}

async function readPaying({ client }: Run) {
  const { answerOf, getPaying } = await import('#client');
  return answerOf(getPaying({ client }));
}

function payingText({ mode, card, autoRecharge: r }: Paying): [string, string | null][] {
  return [
    ['paying', mode === 'manual' ? 'by hand; no cards are taken here' : 'by card'],
    ['card', card && `${card.brand} ending in ${card.last4}, until ${card.expMonth}/${card.expYear}`],
    [
      'auto-recharge',
      r.on
        ? `${dollars(r.amount)} when less than ${dollars(r.below)} is available, at most ${dollars(r.monthlyCap)} a month`
        : 'off',
    ],
    ['why it is off', r.offReason],
  ];
}

function paymentText(p: Payment): [string, string | null][] {
  return [
    ['id', p.id],
    ['kind', p.kind],
    ['state', p.state],
    ['amount', dollars(p.amount)],
    ['refunded', p.refunded === '0' ? null : dollars(p.refunded)],
    ['invoice', p.invoiceId],
    ['why', p.message],
    ['created', p.createdAt],
  ];
}

/** Waits for the end of a payment; a wait that runs out, or a card that says no, is an exit code of its own. */
async function waitFor(run: Run, id: string, limitS: number): Promise<Payment> {
  const until = Date.now() + limitS * 1_000;
  for (;;) {
    const payment = await readPayment(run, id);
    if (OVER.includes(payment.state)) return payment;
    if (Date.now() >= until)
      throw new Ended(
        EXIT.waitRanOut,
        `the payment is still ${payment.state}.\n  Look again: berth billing payments ${id}`,
      );
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

export function registerBilling(berth: Command): void {
  const billing = berth.command('billing').description('cards, credit and payments of the organization');

  billing
    .command('show')
    .description('how the organization pays')
    .addHelpText('after', '\nExamples:\n  berth billing show')
    .action(
      withBroker(async (run) => {
        const paying = await readPaying(run);
        print(factsText(paying, payingText(paying), run.output));
      }),
    );

  billing
    .command('setup')
    .description('get a page for leaving a card')
    .addHelpText('after', '\nExamples:\n  berth billing setup')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, beginCardSetup, getCardSetup } = await import('#client');
        let setup = await answerOf(beginCardSetup({ client, body: {} }));
        for (let n = 0; n < 20 && setup.url === null && setup.state !== 'refused'; n++) {
          await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
          setup = await answerOf(getCardSetup({ client, path: { id: setup.id } }));
        }
        if (output.json) return print(`${jsonText(setup)}\n`);
        if (setup.url === null)
          throw new Ended(
            EXIT.retryLater,
            `there is no page yet: ${setup.message ?? setup.state}.\n  Try again later.`,
          );
        print(`${setup.url}\n`);
        if (!output.quiet) tell('Open it and leave a card; then: berth billing show');
      }),
    );

  billing
    .command('top-up')
    .argument('<dollars>', 'how much credit to buy', money)
    .option('--wait <time>', 'wait for the end for so long', timeSpan, 60)
    .option('--no-wait', 'only begin')
    .description('buy credit with the card')
    .addHelpText('after', '\nExamples:\n  berth billing top-up 50\n  berth billing top-up 50 --no-wait')
    .action(
      withBroker(async (run, amount: string, options: { wait: number | false }) => {
        const { client, output } = run;
        const { answerOf, createTopUp } = await import('#client');
        const begun = await answerOf(createTopUp({ client, body: { amount } }));
        const payment =
          options.wait === false ? { ...begun, refunds: [], disputes: [] } : await waitFor(run, begun.id, options.wait);
        print(factsText(payment, paymentText(payment), output));
        if (payment.state === 'declined' || payment.state === 'refused')
          throw new Ended(EXIT.failed, `the payment was ${payment.state}: ${payment.message ?? 'no reason was given'}`);
      }),
    );

  billing
    .command('auto-recharge')
    .argument('<state>', 'on or off')
    .option('--below <dollars>', 'when less than this is available', money)
    .option('--amount <dollars>', 'buy so much', money)
    .option('--monthly-cap <dollars>', 'at most so much in a month', money)
    .description('buy credit by itself when it runs low')
    .addHelpText(
      'after',
      '\nExamples:\n  berth billing auto-recharge on --below 10 --amount 50 --monthly-cap 500\n  berth billing auto-recharge off',
    )
    .action(
      withBroker(async (run, state: string, o: { below?: string; amount?: string; monthlyCap?: string }) => {
        if (state !== 'on' && state !== 'off') throw new UsageError(`"${state}" is neither on nor off`);
        const on = state === 'on';
        if (on && (o.below === undefined || o.amount === undefined || o.monthlyCap === undefined))
          throw new UsageError('auto-recharge on needs --below, --amount and --monthly-cap');
        const { answerOf, setAutoRecharge } = await import('#client');
        const before = (await readPaying(run)).autoRecharge;
        const { below = before.below, amount = before.amount, monthlyCap = before.monthlyCap } = o;
        const paying = await answerOf(setAutoRecharge({ client: run.client, body: { on, below, amount, monthlyCap } }));
        print(factsText(paying, payingText(paying), run.output));
      }),
    );

  billing
    .command('payments')
    .argument('[id]', 'a payment', idArgument('pay'))
    .option('--limit <n>', 'most payments', wholeNumber(1, 10_000), 50)
    .description('what was charged to cards, newest first; with an id, one payment')
    .addHelpText('after', '\nExamples:\n  berth billing payments\n  berth billing payments --limit 5 --json')
    .action(
      withBroker(async (run, id: string | undefined, options: { limit: number }) => {
        const { client, output } = run;
        if (id !== undefined) {
          const payment = await readPayment(run, id);
          return print(factsText(payment, paymentText(payment), output));
        }
        const { answerOf, listPayments } = await import('#client');
        const rows = await pages(options.limit, (cursor, limit) =>
          answerOf(listPayments({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(
          rowsText(
            rows,
            [
              { title: 'id', of: (r) => r.id },
              { title: 'created', of: (r) => r.createdAt },
              { title: 'kind', of: (r) => r.kind },
              { title: 'state', of: (r) => r.state },
              { title: 'amount', of: (r) => dollars(r.amount), right: true },
              { title: 'refunded', of: (r) => (r.refunded === '0' ? null : dollars(r.refunded)), right: true },
              { title: 'why', of: (r) => r.message },
            ],
            output,
          ),
        );
      }),
    );

  billing
    .command('refund')
    .argument('<id>', 'a payment', idArgument('pay'))
    .argument('<dollars>', 'how much of it', money)
    .description('pay credit back to the card it came from (administrators of the installation)')
    .addHelpText('after', '\nExamples:\n  berth --profile admin billing refund pay_01m7xpe6004jysn4pyxgfzvz6r 5')
    .action(
      withBroker(async ({ client, output }, id: string, amount: string) => {
        const { answerOf, refundPayment } = await import('#client');
        const refund = await answerOf(refundPayment({ client, path: { id }, body: { amount } }));
        print(
          factsText(
            refund,
            [
              ['id', refund.id],
              ['state', refund.state],
              ['amount', dollars(refund.amount)],
            ],
            output,
          ),
        );
      }),
    );
}
