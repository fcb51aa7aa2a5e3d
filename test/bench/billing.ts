import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { migrate, openStore } from '#platform/database';
import { removeEmbedded, startEmbedded } from '#platform/embedded';
import { run as entitlement } from './billing/entitlement.js';
import { run as holds } from './billing/holds.js';
import { run as ingest } from './billing/ingest.js';
import { run as invoice } from './billing/invoice.js';
import { run as usageQuery } from './billing/usage-query.js';

/**
 * `npm run bench:billing`: what money costs to keep: reservations and their renewal, checks against limits, usage events, and an invoice from raw
 * usage records, on a real PostgreSQL with its usual durability. The parts run one after another in one database.
 */
const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const { quick } = values;
const SECRET = 'bench-secret-bench-secret-bench-secret';
const POOL_SIZE = 16;

const home = mkdtempSync(join(tmpdir(), 'berth-bench-'));
try {
  await bench();
} finally {
  await removeEmbedded({ home }).catch(() => undefined);
  rmSync(home, { recursive: true, force: true });
}
process.exit(process.exitCode ?? 0);

async function bench(): Promise<void> {
  const { ownerUrl } = await startEmbedded({ home });
  await migrate(ownerUrl, SECRET);
  const { store, close } = await openStore(ownerUrl, SECRET, { poolSize: POOL_SIZE, name: 'bench' });
  const held = await holds({ store, quick });
  const checked = await entitlement({ store, quick });
  if (checked.stale > 0) throw new Error(`${checked.stale} checks passed a limit that was already zero`);
  const issued = await invoice({ store, quick });
  const asked = await usageQuery({ store, quick });
  await close();
  const taken = await ingest({ ownerUrl, secret: SECRET, quick });

  const invoiceS = issued.seconds.toFixed(2);
  const rowsPerSecond = Math.round(issued.rows / issued.seconds);
  const rows = issued.rows.toLocaleString('en');
  const lines: [string, string, string][] = [
    [
      'usage events a second',
      String(taken.ingestPerSecond),
      'goal: at least 20,000; over HTTP in batches of 500, one in 20 repeated',
    ],
    [
      'of what raw SQL takes',
      taken.ratioToRawSql.toFixed(2),
      `${taken.rawPerSecond} a second: the same batches by one statement each, into two plain tables`,
    ],
    [
      'CPU of an event, us',
      `${taken.nodeUs} + ${taken.postgresUs}`,
      `API with client + PostgreSQL; raw rows take PostgreSQL ${taken.rawPostgresUs}`,
    ],
    ['reservations a second', String(held.holdsPerSecond), 'goal: at least 1,000; 32 clients over 64 projects'],
    [
      'jobs submitted a second, one hot project',
      String(held.hotHoldsPerSecond),
      'goal: at least 300; 32 clients, through the job room',
    ],
    [
      'renewals of 10,000 leases, cores',
      held.renewalCoresAt10000.toFixed(2),
      `goal: under 0.25, PostgreSQL's share included; reckoned from ${quick ? '1,000' : '10,000'} leases`,
    ],
    [
      'entitlement check, p50 / p99 ms',
      `${checked.entitlementP50Ms} / ${checked.entitlementP99Ms}`,
      'goal: p99 under 5 at 500 checks a second, and none stale',
    ],
    [
      `invoice of ${rows} rows, s`,
      invoiceS,
      `${quick ? 'goal is for 1,000,000 rows: under 10 s' : 'goal: under 10'}; raw records, PDF included`,
    ],
    ['invoiced rows a second', String(rowsPerSecond), `over ${rows} rows`],
    [
      'usage by the hour, p50 / p95 ms',
      `${asked.usageQueryP50Ms} / ${asked.usageQueryP95Ms}`,
      `goal: p95 under 300${quick ? ' over 10,000,000 rows' : ''}; ${asked.rows.toLocaleString('en')} rows, ${asked.hours.toLocaleString('en')} sums of hours`,
    ],
  ];
  console.log(
    `\nMoney on PostgreSQL with fsync, ${POOL_SIZE} connections${quick ? '; --quick: small samples, and fewer rows' : ''}\n`,
  );
  for (const [what, value, note] of lines) console.log(`  ${what.padEnd(34)} ${value.padStart(14)}   ${note}`);
  console.log(
    `\n${JSON.stringify({
      bench: 'billing',
      ingestPerSecond: taken.ingestPerSecond,
      ratioToRawSql: taken.ratioToRawSql,
      holdsPerSecond: held.holdsPerSecond,
      hotHoldsPerSecond: held.hotHoldsPerSecond,
      entitlementP99Ms: checked.entitlementP99Ms,
      usageQueryP95Ms: asked.usageQueryP95Ms,
      ...(quick ? { invoiceRowsPerSecond: rowsPerSecond } : { invoiceMillionRowsS: Number(invoiceS) }),
    })}`,
  );
}
