import type { Command } from 'commander';
import type { Client, Orphan, OrphanStanding } from '#client';
import { withBroker } from '../../command.js';
import { tell, UsageError } from '../../exit.js';
import { print, rowsText, type Output } from '../../output.js';
import { ago, jsonText } from '../../text.js';

/** `berth admin orphans`: machines of ours that nobody wants; see docs/operations.md, "After a restore". */
export function registerOrphans(admin: Command): void {
  const orphans = admin.command('orphans').description('machines of ours that nobody wants and that wait for you');
  orphans
    .command('ls')
    .description('what runs on until you confirm it, and whether the sweep is paused')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin orphans ls')
    .action(
      withBroker(async ({ client, output }) => {
        show(await standing(client), output);
      }),
    );
  orphans
    .command('confirm [vendor-id...]')
    .description('let the next sweep terminate these machines')
    .option('--all', 'every machine that is listed at this moment')
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin orphans confirm i-0abc i-0def\n  berth --profile admin admin orphans confirm --all',
    )
    .action(
      withBroker(async ({ client, output }, vendorIds: string[], o: { all?: true }) => {
        if ((vendorIds.length === 0) !== (o.all ?? false)) throw new UsageError('Name machines, or say --all.');
        const { answerOf, confirmOrphans } = await import('#client');
        const { machines } = await standing(client);
        const waiting = machines.filter((m) => m.confirmedAt === null);
        const unknown = vendorIds.filter((id) => !machines.some((m) => m.vendorId === id));
        if (unknown.length > 0) throw new UsageError(`No such machine waits: ${unknown.join(', ')}`);
        const chosen = waiting.filter((m) => o.all === true || vendorIds.includes(m.vendorId));
        if (chosen.length === 0 && !output.quiet) tell('No machine waits.');
        if (chosen.length === 0) return print(machinesText([], output));
        const body = { machines: chosen.map(({ providerId, vendorId }) => ({ providerId, vendorId })) };
        const answer = await answerOf(confirmOrphans({ client, body }));
        print(machinesText(answer.machines, output));
      }),
    );
  orphans
    .command('pause <reason>')
    .description('report orphans and terminate none until they are confirmed')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin orphans pause "restored the backup of Monday"')
    .action(
      withBroker(async ({ client, output }, reason: string) => {
        const { answerOf, pauseOrphanSweep } = await import('#client');
        show(await answerOf(pauseOrphanSweep({ client, body: { reason } })), output);
      }),
    );
  orphans
    .command('resume')
    .description('terminate orphans again')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin orphans resume')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, resumeOrphanSweep } = await import('#client');
        show(await answerOf(resumeOrphanSweep({ client })), output);
      }),
    );
}

async function standing(client: Client): Promise<OrphanStanding> {
  const { answerOf, listOrphans } = await import('#client');
  return answerOf(listOrphans({ client }));
}

function show(standing: OrphanStanding, output: Output): void {
  const { pause, machines } = standing;
  if (output.json) return print(`${jsonText(standing)}\n`);
  if (!output.quiet) {
    tell(
      pause
        ? `The sweep is paused since ${pause.since} (${pause.reason}): it terminates what is confirmed only.`
        : 'The sweep is not paused.',
    );
  }
  print(machinesText(machines, output));
}

function machinesText(machines: readonly Orphan[], output: Output): string {
  return rowsText(
    machines,
    [
      { title: 'machine', of: (m) => m.vendorId },
      { title: 'provider', of: (m) => m.providerId },
      { title: 'reason', of: (m) => m.reason },
      { title: 'lease', of: (m) => m.leaseId },
      { title: 'created', of: (m) => (m.createdAt === null ? 'unknown' : ago(m.createdAt)) },
      { title: 'seen', of: (m) => ago(m.seenAt) },
      { title: 'confirmed', of: (m) => (m.confirmedAt === null ? 'no' : ago(m.confirmedAt)) },
    ],
    output,
  );
}
