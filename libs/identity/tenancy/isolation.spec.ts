import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { openStore } from '#platform/database';
import { patient, testDatabase, type TestDatabase } from '#testing';
import { projects } from './index.js';

/**
 * Row-level security asked directly, in SQL, past every repository: each table that names an organization is filled
 * for two tenants with two projects each and read as the role that serves requests.
 */
const A = 'org_a';
const B = 'org_b';
const projectsOf = (organization: string): string[] => [`${organization}_p1`, `${organization}_p2`];

interface Column {
  readonly name: string;
  readonly type: string;
  readonly optional: boolean;
}

let db: TestDatabase;
let app: pg.Client;
let tables: Map<string, Column[]>;

beforeAll(async () => {
  db = await testDatabase();
  const owner = await connect(db.ownerUrl);
  tables = await tablesWithOrganization(owner);
  await loosen(owner);
  await owner.end();
  const worker = await connect(db.urlFor('berth_worker'));
  for (const organization of [A, B]) {
    await worker.query("insert into organizations values ($1, $1, 'tenant', 'active', now())", [organization]);
    for (const [table, columns] of tables) {
      for (const project of projectsOf(organization)) await fill(worker, table, columns, organization, project);
    }
  }
  await worker.end();
  app = await connect(db.urlFor('berth_app'));
});
afterAll(async () => {
  await app.end();
  await db.close();
});

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}

async function tablesWithOrganization(owner: pg.Client): Promise<Map<string, Column[]>> {
  const { rows } = await owner.query<Column & { table: string }>(`
    select c.table_name as table, c.column_name as name, c.data_type as type,
           (c.is_nullable = 'YES' or c.column_default is not null or c.is_identity = 'YES') as optional
    from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'public' and t.table_type = 'BASE TABLE'
      and exists (select 1 from information_schema.columns o
                  where o.table_schema = 'public' and o.table_name = c.table_name and o.column_name = 'organization_id')`);
  const found = new Map<string, Column[]>();
  for (const { table, ...column } of rows) found.set(table, [...(found.get(table) ?? []), column]);
  return found;
}

/** Rows here only need an owner; what else must hold between them is not the question. */
async function loosen(owner: pg.Client): Promise<void> {
  const { rows } = await owner.query<{ statement: string }>(`
    select format('alter table %s drop constraint if exists %I cascade', conrelid::regclass, conname) as statement
    from pg_constraint where connamespace = 'public'::regnamespace and contype in ('f', 'c', 'u', 'x', 'p') and conparentid = 0`);
  for (const { statement } of rows) await owner.query(statement);
  const guarded = await owner.query<{ statement: string }>(
    "select format('alter table %s disable trigger user', c.oid::regclass) as statement from pg_class c where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace",
  );
  for (const { statement } of guarded.rows) await owner.query(statement);
}

let unique = 0;
const VALUE: Readonly<Record<string, () => unknown>> = {
  text: () => `v${++unique}`,
  integer: () => 0,
  bigint: () => 0,
  numeric: () => 0,
  'double precision': () => 0,
  boolean: () => false,
  jsonb: () => '{}',
  ARRAY: () => [],
  'timestamp with time zone': () => new Date(),
  bytea: () => Buffer.of(1),
};

async function fill(
  on: pg.Client,
  table: string,
  columns: Column[],
  organization: string,
  project: string,
): Promise<void> {
  const given = columns.flatMap(({ name, type, optional }): [string, unknown][] => {
    if (name === 'organization_id') return [[name, organization]];
    if (name === 'project_id' || (table === 'projects' && name === 'id')) return [[name, project]];
    const make = VALUE[type];
    if (!make) throw new Error(`no value for ${table}.${name} of type ${type}`);
    return optional ? [] : [[name, make()]];
  });
  const names = given.map(([name]) => `"${name}"`).join(', ');
  const places = given.map((_, i) => `$${i + 1}`).join(', ');
  await on.query(
    `insert into "${table}" (${names}) values (${places})`,
    given.map(([, value]) => value),
  );
}

/** Runs as a request of that tenant would, and takes everything back. */
async function as<T>(organization: string | null, scope: string | null, work: () => Promise<T>): Promise<T> {
  await app.query('begin');
  try {
    if (organization !== null) await app.query("select set_config('berth.organization', $1, true)", [organization]);
    if (scope !== null) await app.query("select set_config('berth.projects', $1, true)", [scope]);
    return await work();
  } finally {
    await app.query('rollback');
  }
}

async function organizationsSeen(table: string): Promise<string[]> {
  const { rows } = await app.query<{ organization_id: string }>(`select organization_id from "${table}"`);
  return [...new Set(rows.map((row) => row.organization_id))];
}

const mayRead = async (table: string): Promise<boolean> =>
  (await app.query<{ may: boolean }>('select has_table_privilege($1, $2) as may', [table, 'select'])).rows[0]?.may ??
  false;

/** Fails on the first table that breaks a rule, with its name in the message. */
async function forEachTable(check: (table: string, columns: Column[]) => Promise<unknown>): Promise<void> {
  const wrong: string[] = [];
  for (const [table, columns] of tables) {
    const verdict = await check(table, columns);
    if (verdict !== true) wrong.push(`${table}: ${JSON.stringify(verdict)}`);
  }
  expect(wrong).toEqual([]);
}

const refused = async (statement: string, values: unknown[]): Promise<boolean> => {
  await app.query('savepoint attempt');
  try {
    const { rowCount } = await app.query(statement, values);
    return rowCount === 0;
  } catch (error) {
    await app.query('rollback to savepoint attempt');
    // 42501: no privilege, or the row-level check.
    return (error as { code?: string }).code === '42501';
  }
};

describe('row-level security', () => {
  it('knows the tables of the broker', () => {
    const expected = ['projects', 'api_keys', 'jobs', 'leases', 'ledger_entries', 'usage_records', 'invoices', 'hosts'];
    expect([...tables.keys()]).toEqual(expect.arrayContaining(expected));
  });

  it('is on and forced for every table that names an organization, for reading and for writing', async () => {
    const { rows } = await app.query<{ name: string; on: boolean; forced: boolean; policies: number }>(`
      select c.relname as name, c.relrowsecurity as on, c.relforcerowsecurity as forced,
        (select count(*)::int from pg_policies p where p.tablename = c.relname and 'berth_app' = any (p.roles)
           and p.permissive = 'PERMISSIVE' and p.cmd = 'ALL' and p.qual is not null and p.qual <> 'true') as policies
      from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')`);
    const byName = new Map(rows.map((row) => [row.name, row]));
    await forEachTable((table) => {
      const row = byName.get(table);
      return Promise.resolve((row?.on && row.forced && row.policies === 1) || (row ?? 'missing'));
    });
    expect(byName.get('organizations')).toMatchObject({ on: true, forced: true, policies: 1 });
  });

  it('lets no other policy open what these close', async () => {
    const { rows } = await app.query(
      "select tablename, policyname from pg_policies where ('berth_app' = any (roles) or 'public' = any (roles)) and (qual = 'true' or with_check = 'true')",
    );
    expect(rows).toEqual([]);
  });

  it('binds the role that serves requests: it owns nothing and bypasses nothing', async () => {
    const { rows } = await app.query(`
      select r.rolsuper, r.rolbypassrls, r.rolcreaterole,
        (select count(*)::int from pg_class where relowner = r.oid) as owns,
        (select count(*)::int from pg_auth_members where member = r.oid) as memberships
      from pg_roles r where rolname = current_user`);
    expect(rows).toEqual([{ rolsuper: false, rolbypassrls: false, rolcreaterole: false, owns: 0, memberships: 0 }]);
  });

  it('may call no function and read no view that runs with more rights than the caller', async () => {
    const functions = await app.query(
      "select proname from pg_proc where pronamespace = 'public'::regnamespace and prosecdef and has_function_privilege(oid, 'execute')",
    );
    const views = await app.query(
      "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('v', 'm')",
    );
    expect([functions.rows, views.rows]).toEqual([[], []]);
  });

  it.each([
    ['no tenant is set', null, null],
    ['the settings are empty', '', ''],
    ['all projects of nobody are asked for', '', '*'],
    ['the tenant does not exist', 'org_x', '*'],
  ])('shows nothing when %s', async (_, organization, scope) => {
    await forEachTable(
      async (table) =>
        !(await mayRead(table)) || as(organization, scope, async () => (await organizationsSeen(table)).length === 0),
    );
    expect(await as(organization, scope, async () => (await app.query('select 1 from organizations')).rowCount)).toBe(
      0,
    );
  });

  it('shows a tenant its own rows and no others', async () => {
    await forEachTable(async (table) => {
      if (!(await mayRead(table))) return true;
      const seen = await as(A, '*', () => organizationsSeen(table));
      return (seen.length === 1 && seen[0] === A) || seen;
    });
    const { rows } = await as(A, '*', () => app.query('select id from organizations'));
    expect(rows).toEqual([{ id: A }]);
  });

  it('shows a key of one project no row of another project', async () => {
    const [mine, other] = projectsOf(A);
    await forEachTable(async (table, columns) => {
      const column = table === 'projects' ? 'id' : 'project_id';
      if (!(await mayRead(table)) || !columns.some(({ name }) => name === column)) return true;
      const { rows } = await as(A, mine ?? null, () =>
        app.query<{ p: string }>(`select "${column}" as p from "${table}"`),
      );
      return (rows.length > 0 && rows.every(({ p }) => p === mine && p !== other)) || rows;
    });
  });

  it("shows nothing of another tenant's project that is named as one's own", async () => {
    await forEachTable(async (table, columns) => {
      if (!(await mayRead(table)) || !columns.some(({ name }) => name === 'project_id')) return true;
      return as(A, projectsOf(B).join(','), async () => (await organizationsSeen(table)).length === 0);
    });
  });

  it('lets nobody write rows for another tenant, or move, change or delete its rows', async () => {
    await forEachTable((table, columns) =>
      as(A, '*', async () => {
        const moved = await refused(`update "${table}" set organization_id = $1`, [B]);
        const changed = await refused(
          `update "${table}" set organization_id = organization_id where organization_id = $1`,
          [B],
        );
        const deleted = await refused(`delete from "${table}" where organization_id = $1`, [B]);
        await app.query('savepoint insertion');
        const inserted = await fill(app, table, columns, B, projectsOf(B)[0] ?? '').then(
          () => false,
          (error: { code?: string }) => error.code === '42501',
        );
        await app.query('rollback to savepoint insertion');
        return (moved && changed && deleted && inserted) || { moved, changed, deleted, inserted };
      }),
    );
  });

  it('forgets the tenant with the transaction: one connection serves two in turn', async () => {
    const opened = await openStore(db.ownerUrl, db.secret, { poolSize: 1, name: 'isolation-spec', ...patient });
    try {
      for (let i = 0; i < 1_000; i++) {
        const organizationId = i % 2 === 0 ? A : B;
        const actor = { as: 'tenant', organizationId, projectIds: 'all' } as const;
        const run = opened.store.transaction(actor, async (tx) => {
          const seen = await tx.find(projects, {});
          if (i % 7 === 0) throw new Error('rolled back');
          return seen;
        });
        if (i % 7 === 0) await expect(run).rejects.toThrow('rolled back');
        else expect((await run).map((p) => p.organizationId)).toEqual([organizationId, organizationId]);
      }
      const bare = await opened.store.transaction({ as: 'tenant', organizationId: '', projectIds: [] }, (tx) =>
        tx.find(projects, {}),
      );
      expect(bare).toEqual([]);
    } finally {
      await opened.close();
    }
  });
});
