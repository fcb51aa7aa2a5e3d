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

/** A pool that logs in as one role. */
export function openDataSource(url: string, options: { poolSize: number; name: string }): Promise<DataSource> {
  return new DataSource({
    type: 'postgres',
    url,
    poolSize: options.poolSize,
    applicationName: options.name,
    entities: [],
    extra: { keepAlive: true, connectionTimeoutMillis: 10_000 },
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
    const options = `login nosuperuser nobypassrls nocreatedb nocreaterole password '${rolePassword(secret, role)}'`;
    if (!have.has(role)) {
      // Roles belong to the whole server: another database of the same server may create one at the same moment.
      await client
        .query(`create role ${role} ${options}`)
        .catch((error: { code?: string }) =>
          error.code === '42710' || error.code === '23505' ? undefined : Promise.reject(error),
        );
    } else {
      await client.query(`alter role ${role} password '${rolePassword(secret, role)}'`);
    }
  }
  await client.query('grant berth_queue to current_user');
  await client.query('create schema if not exists bullmq authorization berth_queue');
  await client.query('revoke create on schema public from public');
  await client.query('grant usage on schema public to berth_app, berth_worker');
}
