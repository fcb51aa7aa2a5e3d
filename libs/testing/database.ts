import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { migrate, roleUrl, type DatabaseRole } from '#platform/database';
import { startEmbedded } from '#platform/embedded';

/** A migrated, empty database of its own for one spec file. */
export interface TestDatabase {
  /** Connects as the owner of all tables; forced row-level security hides their rows from it. */
  readonly ownerUrl: string;
  /** The installation secret that the role passwords were made from. */
  readonly secret: string;
  /** Connects as one of the roles that processes use. */
  urlFor(role: DatabaseRole): string;
  /** Drops the database, ending whatever is still connected. */
  close(): Promise<void>;
}

const TEMPLATE = 'berth_template';
/** SQLSTATE object_in_use. */
const IN_USE = '55006';
const TEMPLATE_LOCK = 7_251_905;

/**
 * Makes a database from the migrated template. The first call of a jest run starts the server and migrates the
 * template (about two seconds); later calls, from any worker, take about a tenth of a second.
 */
export async function testDatabase(): Promise<TestDatabase> {
  const run = currentRun();
  const secret = readFileSync(join(run, 'secret'), 'utf8');
  const { ownerUrl } = await startEmbedded({ home: run, fsync: false, ownerMayCreateDatabases: true });
  const name = `spec_${randomBytes(6).toString('hex')}`;
  await withClient(ownerUrl, async (client) => {
    await ensureTemplate(client, ownerUrl, secret);
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE} STRATEGY WAL_LOG`);
  });
  const url = inDatabase(ownerUrl, name);
  return {
    ownerUrl: url,
    secret,
    urlFor: (role) => roleUrl(url, secret, role),
    close: () => withClient(ownerUrl, (client) => drop(client, name)),
  };
}

/**
 * Without force the server itself waits for its own vacuum there and ends it, which FORCE of a common role may not;
 * with force what a spec has left open goes.
 */
async function drop(client: pg.Client, name: string): Promise<void> {
  try {
    await client.query(`DROP DATABASE IF EXISTS ${name}`);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== IN_USE) throw error;
    await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  }
}

/** Set once per run by test/setup/start.mjs. */
function currentRun(): string {
  const run = process.env['BERTH_TEST_RUN'];
  if (run !== undefined) return run;
  throw new Error('testDatabase() works under jest with the globalSetup of jest.config.mjs only.');
}

/** One worker migrates while the others wait; the template flag is set last and says that it is complete. */
async function ensureTemplate(client: pg.Client, ownerUrl: string, secret: string): Promise<void> {
  await client.query('SELECT pg_advisory_lock($1)', [TEMPLATE_LOCK]);
  try {
    const { rows } = await client.query<{ datistemplate: boolean }>(
      'SELECT datistemplate FROM pg_database WHERE datname = $1',
      [TEMPLATE],
    );
    if (rows[0]?.datistemplate) return;
    await client.query(`DROP DATABASE IF EXISTS ${TEMPLATE} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${TEMPLATE}`);
    await migrate(inDatabase(ownerUrl, TEMPLATE), secret);
    await client.query(`ALTER DATABASE ${TEMPLATE} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false`);
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [TEMPLATE_LOCK]);
  }
}

function inDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.toString();
}

async function withClient(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
