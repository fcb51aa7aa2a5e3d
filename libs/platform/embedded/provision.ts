import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { embeddedFailure, errorCode } from './failure.js';
import { connectionUrl, DATABASE, OWNER, SUPERUSER, type EmbeddedState } from './state.js';

/** Starting up, shutting down, or no listener yet: ask again. */
const NOT_YET = new Set(['57P03', 'ECONNREFUSED', 'ECONNRESET']);
const POLL_MS = 50;
const POLLS = 1200;

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  // A server that stops while we hold a connection shows as a failed query; this keeps it from ending the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/**
 * Waits until the server answers to the owner; false when it goes away meanwhile (it was being killed or stopped).
 * Fails with a sentence when the server is somebody else's.
 */
export async function awaitAnswer(url: string, isRunning: () => boolean): Promise<boolean> {
  for (let poll = 1; ; poll += 1) {
    try {
      await withClient(url, (client) => client.query('SELECT 1'));
      return true;
    } catch (error) {
      const code = errorCode(error);
      if (code === '28P01' || code === '28000') {
        throw embeddedFailure('The running PostgreSQL does not accept the password kept in the Berth home.');
      }
      if (code === undefined || !NOT_YET.has(code) || poll >= POLLS) throw error;
      if (!isRunning()) return false;
      await pause(POLL_MS);
    }
  }
}

/**
 * Makes the owner role and its database. The owner is no superuser and cannot bypass row security, but may make
 * roles, which migrations need. Safe to repeat.
 */
export async function provision(state: EmbeddedState, port: number, ownerMayCreateDatabases: boolean): Promise<void> {
  const url = connectionUrl(SUPERUSER, state.superuserPassword, port, 'postgres');
  await withClient(url, async (client) => {
    const roles = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [OWNER]);
    const verb = roles.rowCount === 0 ? 'CREATE' : 'ALTER';
    const rights = `LOGIN NOSUPERUSER NOBYPASSRLS CREATEROLE ${ownerMayCreateDatabases ? 'CREATEDB' : 'NOCREATEDB'}`;
    const password = client.escapeLiteral(state.ownerPassword);
    await client.query(`${verb} ROLE ${OWNER} WITH ${rights} PASSWORD ${password}`);
    const databases = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (databases.rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE} OWNER ${OWNER}`);
  });
}
