import type { Command } from 'commander';
import { idArgument, pages, withBroker } from '../command.js';
import { tell } from '../exit.js';
import { money, wholeNumber } from '../flags.js';
import { factsText, print, rowsText } from '../output.js';
import { ago, dollars } from '../text.js';

export function registerHosts(berth: Command): void {
  const hosts = berth.command('hosts').description('machines that you offer (providers, platform administrators)');
  hosts
    .command('ls')
    .description('list registered machines')
    .addHelpText('after', '\nExamples:\n  berth --profile admin hosts ls')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listHosts } = await import('#client');
        const rows = await pages(null, (cursor, limit) =>
          answerOf(listHosts({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(
          rowsText(
            rows,
            [
              { title: 'id', of: (r) => r.id },
              { title: 'name', of: (r) => r.name },
              { title: 'state', of: (r) => r.state },
              { title: 'slots', of: (r) => `${r.slotsTaken}/${r.slots}`, right: true },
              { title: '$/slot-h', of: (r) => dollars(r.pricePerSlotHour), right: true },
              { title: 'region', of: (r) => r.region },
              { title: 'hardware', of: (r) => r.hardware },
              { title: 'seen', of: (r) => (r.lastSeenAt === null ? 'never' : ago(r.lastSeenAt)) },
            ],
            output,
          ),
        );
      }),
    );
  hosts
    .command('add <name>')
    .description('register a machine; prints the agent’s command with a one-time token')
    .option('--slots <n>', 'parts that can be leased apart', wholeNumber(1, 64), 1)
    .requiredOption('--price <dollars>', 'per slot and hour', money)
    .option(
      '--time-slices <n>',
      'offer each GPU in that many time slices too (no isolation of memory or faults)',
      wholeNumber(1, 8),
      1,
    )
    .option('--region <region>', 'where it stands', 'local')
    .addHelpText(
      'after',
      '\nExamples:\n  berth hosts add rack-7 --slots 8 --price 1.20 --region helsinki\n  berth hosts add rack-8 --slots 8 --price 1.20 --time-slices 4',
    )
    .action(
      withBroker(
        async (
          { client, output },
          name: string,
          o: { slots: number; price: string; region: string; timeSlices: number },
        ) => {
          const { addHost, answerOf } = await import('#client');
          const added = await answerOf(
            addHost({
              client,
              body: { name, slots: o.slots, pricePerSlotHour: o.price, timeSlices: o.timeSlices, region: o.region },
            }),
          );
          print(
            factsText(
              added,
              [
                ['host', added.host.id],
                ['state', added.host.state],
                ['command', added.command],
              ],
              output,
            ),
          );
          if (!output.quiet) tell('Run the command on the machine; its token works once.');
        },
      ),
    );
  hosts
    .command('get')
    .argument('<id>', 'a host', idArgument('host'))
    .description('show a registered machine')
    .addHelpText('after', '\nExamples:\n  berth hosts get host_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, getHost } = await import('#client');
        const host = await answerOf(getHost({ client, path: { id } }));
        print(
          factsText(
            host,
            [
              ['host', host.id],
              ['name', host.name],
              ['state', host.state],
              ['slots', `${host.slotsTaken} of ${host.slots} taken`],
              ['$/slot-h', dollars(host.pricePerSlotHour)],
              ['time slices', host.timeSlices],
              ['region', host.region],
              ['hardware', host.hardware],
              ['seen', host.lastSeenAt ?? 'never'],
            ],
            output,
          ),
        );
      }),
    );
  hosts
    .command('invite')
    .argument('<id>', 'a host', idArgument('host'))
    .description(
      'a new one-time token for a machine; prints the agent’s command. An agent that runs there now is dismissed',
    )
    .addHelpText('after', '\nExamples:\n  berth hosts invite host_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, inviteHost } = await import('#client');
        const invited = await answerOf(inviteHost({ client, path: { id } }));
        print(factsText(invited, [['command', invited.command]], output));
        if (!output.quiet) tell('Run the command on the machine; its token works once.');
      }),
    );
  hosts
    .command('remove')
    .argument('<id>', 'a host', idArgument('host'))
    .description('take a machine out; what runs there is lost to its jobs, which go elsewhere')
    .addHelpText('after', '\nExamples:\n  berth hosts remove host_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, removeHost } = await import('#client');
        const host = await answerOf(removeHost({ client, path: { id } }));
        print(
          factsText(
            host,
            [
              ['host', host.id],
              ['state', host.state],
            ],
            output,
          ),
        );
      }),
    );

  const leases = berth.command('leases').description('machines that run your jobs');
  leases
    .command('ls')
    .description('list rented machines, newest first')
    .option('--limit <n>', 'most rows', wholeNumber(1, 100_000), 20)
    .option('--all', 'every row')
    .addHelpText('after', '\nExamples:\n  berth leases ls --all')
    .action(
      withBroker(async ({ client, output }, o: { limit: number; all?: boolean }) => {
        const { answerOf, listLeases } = await import('#client');
        const rows = await pages(o.all ? null : o.limit, (cursor, limit) =>
          answerOf(listLeases({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(
          rowsText(
            rows,
            [
              { title: 'id', of: (r) => r.id },
              { title: 'state', of: (r) => (r.endReason === null ? r.state : `${r.state} (${r.endReason})`) },
              { title: 'machine', of: (r) => r.sku },
              { title: 'region', of: (r) => r.region },
              { title: '$/h', of: (r) => dollars(r.pricePerHour), right: true },
              { title: 'job', of: (r) => r.jobId },
              { title: 'asked', of: (r) => ago(r.requestedAt) },
            ],
            output,
          ),
        );
      }),
    );
  leases
    .command('get')
    .argument('<id>', 'a lease', idArgument('lease'))
    .description('show a rented machine')
    .addHelpText('after', '\nExamples:\n  berth leases get lease_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, getLease } = await import('#client');
        const lease = await answerOf(getLease({ client, path: { id } }));
        print(
          factsText(
            lease,
            Object.entries(lease).map(([k, v]) => [
              k,
              k === 'pricePerHour' ? dollars(String(v)) : (v as string | number | null),
            ]),
            output,
          ),
        );
      }),
    );
}
