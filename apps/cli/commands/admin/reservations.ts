import type { Command } from 'commander';
import type { Reservation } from '#client';
import { idArgument, pages, withBroker } from '../../command.js';
import { instant, money, wholeNumber } from '../../flags.js';
import { amountColumn, factsText, print, rowsText, type Output } from '../../output.js';
import { dollars } from '../../text.js';

interface AddFlags {
  sku?: string;
  gpu?: string;
  count?: number;
  region: string;
  zone?: string;
  machines: number;
  from?: string;
  until: string;
  paid: string;
  note: string;
}

const EXAMPLE = 'rsv_01j00000000000000000000000';

/** `berth admin reservations`: machines that are paid for in advance. */
export function registerReservations(admin: Command): void {
  const reservations = admin.command('reservations').description('machines that are paid for in advance, used or not');
  reservations
    .command('add')
    .argument('<provider>', 'a provider', idArgument('prv'))
    .description('say that machines of a provider are paid for; nothing is bought by it')
    .option('--sku <name>', 'the vendor’s name of the machine')
    .option('--gpu <model>', 'or the accelerator that it has, such as H100-SXM')
    .option('--count <n>', 'and how many of them each machine has', wholeNumber(1, 64))
    .requiredOption('--region <name>', 'as the vendor calls it')
    .option('--zone <name>', 'one zone of the region')
    .requiredOption('--machines <n>', 'how many', wholeNumber(1, 100_000))
    .option('--from <time>', 'ISO 8601; now if it is left out', instant)
    .requiredOption('--until <time>', 'ISO 8601', instant)
    .requiredOption('--paid <dollars>', 'what each machine costs by the hour, used or not', money)
    .requiredOption('--note <text>', 'where it comes from: a one-year commitment, an order')
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin reservations add prv_01j00000000000000000000000 --sku p5.48xlarge --region us-east-1 --machines 4 \\\n    --until 2027-11-21T00:00:00Z --paid 43.20 --note "1 year, order 17"',
    )
    .action(
      withBroker(async ({ client, output }, provider: string, o: AddFlags) => {
        const { answerOf, addReservation } = await import('#client');
        const body = {
          // Checked for its form.
          providerId: provider as `prv_${string}`,
          region: o.region,
          machines: o.machines,
          until: o.until,
          paidPerHour: o.paid,
          note: o.note,
          ...(o.sku === undefined ? {} : { sku: o.sku }),
          ...(o.gpu === undefined ? {} : { accelerator: o.gpu }),
          ...(o.count === undefined ? {} : { gpusPerMachine: o.count }),
          ...(o.zone === undefined ? {} : { zone: o.zone }),
          ...(o.from === undefined ? {} : { from: o.from }),
        };
        print(reservationText(await answerOf(addReservation({ client, body })), output));
      }),
    );
  reservations
    .command('ls')
    .description('every reservation: how far it is used, what was paid and what it earned')
    .option('--limit <n>', 'most reservations', wholeNumber(1, 10_000), 100)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin reservations ls')
    .action(
      withBroker(async ({ client, output }, o: { limit: number }) => {
        const { answerOf, listReservations } = await import('#client');
        const rows = await pages(o.limit, (cursor, limit) =>
          answerOf(listReservations({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(reservationsText(rows, output));
      }),
    );
  one('get', 'one reservation', async (client, path) => {
    const { answerOf, getReservation } = await import('#client');
    return answerOf(getReservation({ client, path }));
  });
  one('end', 'end a reservation: leases that have its machines cost their price from now on', async (client, path) => {
    const { answerOf, endReservation } = await import('#client');
    return answerOf(endReservation({ client, path }));
  });

  function one(
    name: string,
    about: string,
    ask: (client: Client, path: { id: `rsv_${string}` }) => Promise<Reservation>,
  ): void {
    reservations
      .command(name)
      .argument('<id>', 'a reservation', idArgument('rsv'))
      .description(about)
      .addHelpText('after', `\nExamples:\n  berth --profile admin admin reservations ${name} ${EXAMPLE}`)
      .action(
        withBroker(async ({ client, output }, id: string) => {
          print(reservationText(await ask(client, { id: id as `rsv_${string}` }), output));
        }),
      );
  }
}

type Client = Parameters<Parameters<typeof withBroker>[0]>[0]['client'];

const machineText = (r: Reservation): string => r.sku ?? `${r.gpusPerMachine ?? 0} x ${r.accelerator ?? ''}`;
const placeText = (r: Reservation): string => `${r.region}${r.zone === null ? '' : `/${r.zone}`}`;

function reservationsText(rows: readonly Reservation[], output: Output): string {
  return rowsText(
    rows,
    [
      { title: 'id', of: (r) => r.id },
      { title: 'machine', of: machineText },
      { title: 'place', of: placeText },
      { title: 'used', of: (r) => `${r.used} of ${r.machines}`, right: true },
      { title: 'state', of: (r) => r.state },
      { title: 'until', of: (r) => r.until },
      amountColumn('paid', (r) => r.paid),
      amountColumn('earned', (r) => r.earned),
      amountColumn('margin', (r) => r.margin),
      { title: 'note', of: (r) => r.note },
    ],
    output,
  );
}

function reservationText(r: Reservation, output: Output): string {
  return factsText(
    r,
    [
      ['id', r.id],
      ['provider', r.providerId],
      ['machine', machineText(r)],
      ['place', placeText(r)],
      ['used', `${r.used} of ${r.machines}`],
      ['state', r.state],
      ['from', r.from],
      ['until', r.until],
      ['paid per hour', dollars(r.paidPerHour)],
      ['paid', dollars(r.paid)],
      ['earned', dollars(r.earned)],
      ['margin', dollars(r.margin)],
      ['note', r.note],
    ],
    output,
  );
}
