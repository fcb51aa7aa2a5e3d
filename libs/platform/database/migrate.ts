import { createHmac } from 'node:crypto';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { migrations } from '../../../migrations/index.js';

/** The roles that processes log in as; none owns a table, so row-level security binds them all. */
export const databaseRoles = ['berth_app', 'berth_worker', 'berth_queue'] as const;
export type DatabaseRole = (typeof databaseRoles)[number];

/** Passwords of the roles follow from the installation's secret, so that one URL and one secret are all a process needs. */
function rolePassword(secret: string, role: DatabaseRole): string {
  return createHmac('sha256', secret).update(`database-role:${role}`).digest('base64url');
}

/** The owner's URL with user and password of that role put in. */
export function roleUrl(ownerUrl: string, secret: string, role: DatabaseRole): string {
  const url = new URL(ownerUrl);
  url.username = role;
  url.password = rolePassword(secret, role);
  return url.toString();
}

/**
 * How long a transaction may wait for its process before PostgreSQL undoes it and frees its locks. Nothing of ours waits for anything but
 * the database inside one; without this a process that is frozen with a row locked stops everybody else at that row.
 */
const IDLE_IN_TRANSACTION_MS = 5_000;

/** How long somebody waits for a connection, be it that the server is slow or that all of the pool are in use. */
const CONNECT_MS = 10_000;

export interface PoolOptions {
  readonly poolSize: number;
  readonly name: string;
  readonly idleInTransactionMs?: number;
  readonly connectMs?: number;
}

/** A pool that logs in as one role. */
export function openDataSource(url: string, options: PoolOptions): Promise<DataSource> {
  return new DataSource({
    type: 'postgres',
    url,
    poolSize: options.poolSize,
    applicationName: options.name,
    entities: [],
    extra: {
      keepAlive: true,
      connectionTimeoutMillis: options.connectMs ?? CONNECT_MS,
      idle_in_transaction_session_timeout: options.idleInTransactionMs ?? IDLE_IN_TRANSACTION_MS,
    },
  }).initialize();
}

const MIGRATION_LOCK = 7_251_904;

/**
 * Creates the roles, brings the schema up to date, and does nothing where it is: safe to run at every boot and from
 * several processes at once (an advisory lock lets one through at a time). The login in `ownerUrl` must be able to
 * create roles the first time.
 */
export async function migrate(ownerUrl: string, secret: string): Promise<{ applied: string[] }> {
  const gate = new Client({ connectionString: ownerUrl, application_name: 'berth-migrate' });
  await gate.connect();
  try {
    await gate.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await createRoles(gate, secret);
    const source = new DataSource({
      type: 'postgres',
      url: ownerUrl,
      migrations,
      migrationsTransactionMode: 'all',
      migrationsTableName: 'berth_migrations',
      entities: [],
      applicationName: 'berth-migrate',
    });
    await source.initialize();
    try {
      const done = await source.runMigrations();
      return { applied: done.map((m) => m.name) };
    } finally {
      await source.destroy();
    }
  } finally {
    await gate.end();
  }
}

async function createRoles(client: Client, secret: string): Promise<void> {
  const { rows } = await client.query<{ rolname: string }>('select rolname from pg_roles where rolname = any($1)', [
    [...databaseRoles],
  ]);
  const have = new Set(rows.map((r) => r.rolname));
  for (const role of databaseRoles) {
    // Role names are ours and passwords base64url, so neither can break out of the quotes; utility statements take no parameters.
    const password = `password '${rolePassword(secret, role)}'`;
    const statement = have.has(role)
      ? `alter role ${role} ${password}`
      : `create role ${role} login nosuperuser nobypassrls nocreatedb nocreaterole ${password}`;
    await serverWide(client, statement);
  }
  await serverWide(client, 'grant berth_queue to current_user');
  await client.query('create schema if not exists bullmq authorization berth_queue');
  await client.query('revoke create on schema public from public');
  await client.query('grant usage on schema public to berth_app, berth_worker');
}

/** What PostgreSQL answers when two sessions write the same row of a server-wide catalogue at the same moment. */
const CONTENDED = 'XX000';
const EXISTS = new Set(['42710', '23505']);
const SERVER_WIDE_TRIES = 50;

/**
 * Roles belong to the whole server, so the lock of one database does not keep another database's migration away. The loser repeats
 * its statement; what somebody else created meanwhile is as good as ours.
 */
async function serverWide(client: Client, statement: string): Promise<void> {
  for (let left = SERVER_WIDE_TRIES; ; left--) {
    try {
      await client.query(statement);
      return;
    } catch (error) {
      const { code = '', message = '' } = error as { code?: string; message?: string };
      if (EXISTS.has(code)) return;
      if (left === 1 || code !== CONTENDED || !message.includes('tuple concurrently')) throw error;
    }
  }
}
