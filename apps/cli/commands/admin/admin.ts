import type { Command } from 'commander';
import { idArgument, pages, withBroker } from '../../command.js';
import { instant, wholeNumber } from '../../flags.js';
import { print, rowsText } from '../../output.js';
import { jsonText } from '../../text.js';
import { registerLedger } from '../ledger.js';
import { registerAdminBilling } from './billing.js';
import { registerAdminInvoices } from './invoices.js';
import { registerOrphans } from './orphans.js';
import { registerQuarantine } from './quarantine.js';
import { registerProviders } from './providers.js';
import { registerReservations } from './reservations.js';
import { registerAdminPlans } from './plans.js';
import { registerAdminPayouts } from './payouts.js';
import { registerAdminPrices } from './prices.js';
import { registerAdminUsage } from '../usage.js';
import { registerAdminRevenue } from './revenue.js';
import { registerAdminVendorInvoices } from './vendor-invoices.js';

import { registerAdminQuotas } from '../quotas.js';

interface AuditFlags {
  org?: string;
  key?: string;
  action?: string;
  subject?: string;
  from?: string;
  to?: string;
  limit: number;
}

/** `berth admin`: what only platform administrators may do; each room of the product adds its own nouns. */
export function registerAdmin(berth: Command): void {
  const admin = berth.command('admin').description('the business behind the broker (platform administrators)');
  registerAdminInvoices(admin);
  registerAdminBilling(admin);
  registerAdminQuotas(admin);
  registerAdminPrices(admin);
  registerAdminUsage(admin);
  registerAdminPlans(admin);
  registerAdminRevenue(admin);
  registerAdminVendorInvoices(admin);
  registerAdminPayouts(admin);
  registerAudit(admin);
  registerLedger(admin);
  registerOrphans(admin);
  registerProviders(admin);
  registerQuarantine(admin);
  registerReservations(admin);
}

function registerAudit(admin: Command): void {
  admin
    .command('audit')
    .description('who did what, newest first')
    .option('--org <id>', 'what concerns one organization', idArgument('org'))
    .option('--key <id>', 'what one key did', idArgument('key'))
    .option('--action <name>', 'such as credit.add')
    .option('--subject <id>', 'what was done to one thing')
    .option('--from <time>', 'ISO 8601', instant)
    .option('--to <time>', 'ISO 8601', instant)
    .option('--limit <n>', 'most entries', wholeNumber(1, 10_000), 50)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin audit --action credit.add --limit 20')
    .action(
      withBroker(async ({ client, output }, o: AuditFlags) => {
        const { answerOf, listAudit } = await import('#client');
        const filter = {
          // The options were checked for their form.
          ...(o.org === undefined ? {} : { organizationId: o.org as `org_${string}` }),
          ...(o.key === undefined ? {} : { actorKeyId: o.key as `key_${string}` }),
          ...(o.action === undefined ? {} : { action: o.action }),
          ...(o.subject === undefined ? {} : { subject: o.subject }),
          ...(o.from === undefined ? {} : { from: o.from }),
          ...(o.to === undefined ? {} : { to: o.to }),
        };
        const rows = await pages(o.limit, (cursor, limit) =>
          answerOf(listAudit({ client, query: { ...filter, limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(
          rowsText(
            rows,
            [
              { title: 'at', of: (r) => r.at },
              { title: 'by', of: (r) => r.actorKeyId ?? 'the broker' },
              { title: 'action', of: (r) => r.action },
              { title: 'subject', of: (r) => r.subject },
              { title: 'before', of: (r) => valueText(r.before) },
              { title: 'after', of: (r) => valueText(r.after) },
            ],
            output,
          ),
        );
      }),
    );
}

const MOST = 120;

/** State before or after in one line; whole with --json. */
function valueText(value: unknown): string {
  if (value === null || value === undefined) return '';
  const text = jsonText(value);
  return text.length > MOST ? `${text.slice(0, MOST - 1)}…` : text;
}
