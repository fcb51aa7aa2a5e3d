import type { Command } from 'commander';
import type { BillingProfile } from '#client';
import { idArgument, withBroker } from '../../command.js';
import { collect, wholeNumber } from '../../flags.js';
import { factsText, print, type Output } from '../../output.js';

interface ProfileFlags {
  name?: string;
  address: string[];
  taxId?: string;
  email?: string;
  taxLabel?: string;
  taxRate?: number;
  netDays?: number;
}

export function registerAdminBilling(admin: Command): void {
  const billing = admin.command('billing').description('how tenants are billed');
  billing
    .command('get')
    .argument('<id>', 'a tenant', idArgument('org'))
    .description('show name, address, tax and terms')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin billing get org_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, getBillingProfile } = await import('#client');
        print(profileText(await answerOf(getBillingProfile({ client, path: { id: id as `org_${string}` } })), output));
      }),
    );
  billing
    .command('set')
    .argument('<id>', 'a tenant', idArgument('org'))
    .description('change name, address, tax or terms; what is not named stays')
    .option('--name <text>', 'on invoices')
    .option('--address <line>', 'one line; again for the next', collect, [])
    .option('--tax-id <text>', 'of the tenant')
    .option('--email <text>', 'for invoices')
    .option('--tax-label <text>', 'such as VAT')
    .option('--tax-rate <bps>', 'in hundredths of a percent: 1900 is 19 %', wholeNumber(0, 10_000))
    .option('--net-days <n>', 'days from issue to due', wholeNumber(0, 365))
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin billing set org_01j00000000000000000000000 --name "ACME Ltd." --tax-label VAT --tax-rate 2000',
    )
    .action(
      withBroker(async ({ client, output }, id: string, o: ProfileFlags) => {
        const { answerOf, getBillingProfile, setBillingProfile } = await import('#client');
        const path = { id: id as `org_${string}` };
        const now = await answerOf(getBillingProfile({ client, path }));
        const body = {
          name: o.name ?? (now.name === '' ? id : now.name),
          address: o.address.length > 0 ? o.address : now.address,
          taxId: o.taxId ?? now.taxId,
          email: o.email ?? now.email,
          taxLabel: o.taxLabel ?? now.taxLabel,
          taxRateBps: o.taxRate ?? now.taxRateBps,
          netDays: o.netDays ?? now.netDays,
        };
        print(profileText(await answerOf(setBillingProfile({ client, path, body })), output));
      }),
    );
}

function profileText(p: BillingProfile, output: Output): string {
  return factsText(
    p,
    [
      ['name', p.name],
      ['address', p.address.join(', ')],
      ['tax id', p.taxId],
      ['email', p.email],
      ['tax', `${p.taxLabel} ${p.taxRateBps / 100} %`],
      ['net days', p.netDays],
    ],
    output,
  );
}
