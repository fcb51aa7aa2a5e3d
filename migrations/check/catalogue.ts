import type { Client } from 'pg';

/**
 * One query per kind of thing, each giving whole lines. What every owner has on its own tables is left out; the owner's
 * name is written `owner`, because it differs from one installation to the next.
 */
const QUERIES: readonly string[] = [
  `select format('role %s:%s%s%s%s%s%s', rolname, case when rolcanlogin then ' login' end, case when rolsuper then ' SUPERUSER' end,
      case when rolbypassrls then ' BYPASSRLS' end, case when rolcreaterole then ' CREATEROLE' end,
      case when rolcreatedb then ' CREATEDB' end, case when rolinherit then ' inherit' end) as line
   from pg_roles where rolname ~ '^berth_' and rolname <> current_user`,
  `select format('schema %s: owned by %s', nspname, {owner nspowner}) as line from {schemas}`,
  `select format('schema %s grant %s: %s', nspname, {role grantee}, string_agg(privilege_type, ', ' order by privilege_type)) as line
   from {schemas}, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) where grantee <> nspowner group by nspname, grantee`,
  `select format('%s %s: owned by %s%s%s', {kind}, relname, {owner relowner}, case when relrowsecurity then ', row-level security on' end,
      case when relforcerowsecurity then ' and forced' end) as line
   from {relations}`,
  `select format('table %s column %s: %s%s%s%s', relname, attname, format_type(atttypid, atttypmod), case when attnotnull then ' not null' end,
      ' default ' || pg_get_expr(adbin, adrelid), case when attidentity <> '' then ' identity' end) as line
   from {relations} join pg_attribute a on attrelid = r.oid left join pg_attrdef on adrelid = attrelid and adnum = attnum
   where attnum > 0 and not attisdropped and relkind in ('r', 'p', 'v', 'm')`,
  // Not-null constraints are told by their columns.
  `select format('table %s constraint %s: %s', relname, conname, pg_get_constraintdef(c.oid)) as line
   from {relations} join pg_constraint c on conrelid = r.oid where contype <> 'n'`,
  `select format('table %s index %s: %s', relname, indexrelid::regclass, pg_get_indexdef(indexrelid)) as line
   from {relations} join pg_index on indrelid = r.oid`,
  `select format('table %s policy %s: %s for %s to %s%s%s', tablename, policyname, lower(permissive), lower(cmd), array_to_string(roles, ', '),
      ' using ' || qual, ' with check ' || with_check) as line
   from pg_policies where schemaname = 'public'`,
  `select format('table %s trigger %s: %s%s', relname, tgname, pg_get_triggerdef(t.oid), case when tgenabled <> 'O' then ' DISABLED' end) as line
   from {relations} join pg_trigger t on tgrelid = r.oid where not tgisinternal`,
  `select format('%s %s grant %s: %s', {kind}, relname, {role grantee}, string_agg(privilege_type, ', ' order by privilege_type)) as line
   from {relations}, aclexplode(relacl) where grantee <> relowner group by relkind, relname, grantee`,
  `select format('table %s column %s grant %s: %s', relname, attname, {role grantee}, string_agg(privilege_type, ', ' order by privilege_type)) as line
   from {relations} join pg_attribute on attrelid = r.oid, aclexplode(attacl) where grantee <> relowner group by relname, attname, grantee`,
  `select format('view %s definition: %s', relname, pg_get_viewdef(r.oid)) as line from {relations} where relkind in ('v', 'm')`,
  // Line by line, numbered, so that a changed line is one line of the difference.
  `select format('function %s line %s: %s', p.oid::regprocedure, lpad(n::text, 3, '0'), text) as line
   from pg_proc p, regexp_split_to_table(rtrim(pg_get_functiondef(p.oid), E'\\n'), E'\\n') with ordinality as t(text, n)
   where pronamespace = 'public'::regnamespace and prokind in ('f', 'p')`,
  `select format('function %s grant %s: %s', p.oid::regprocedure, {role grantee}, privilege_type) as line
   from pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) where pronamespace = 'public'::regnamespace and grantee <> proowner`,
  `select format('type %s: %s', typname, case typtype when 'd' then 'domain over ' || format_type(typbasetype, typtypmod)
      else 'enum of ' || (select string_agg(enumlabel, ', ' order by enumsortorder) from pg_enum where enumtypid = y.oid) end) as line
   from pg_type y where typnamespace = 'public'::regnamespace and typtype in ('e', 'd')`,
  `select format('extension %s', extname) as line from pg_extension where extname <> 'plpgsql'`,
  `select format('default privileges for %s: %s', {role defaclrole}, defaclacl::text) as line from pg_default_acl`,
];

const PIECES: readonly (readonly [RegExp, string])[] = [
  [
    /\{schemas\}/g,
    `(select * from pg_namespace where nspname not in ('information_schema') and nspname not like 'pg\\_%') as s`,
  ],
  [
    /\{relations\}/g,
    `(select * from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')) as r`,
  ],
  [/\{kind\}/g, `case relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'view' else 'table' end`],
  [/\{owner (\w+)\}/g, `(case $1 when current_user::regrole then 'owner' else $1::regrole::text end)`],
  [
    /\{role (\w+)\}/g,
    `(case $1 when 0 then 'public' when current_user::regrole then 'owner' else $1::regrole::text end)`,
  ],
];

/** Everything that migrations make, one thing per line, sorted. `client` is connected as the owner. */
export async function dumpCatalogue(client: Client): Promise<string[]> {
  const lines: string[] = [];
  for (const query of QUERIES) {
    const text = PIECES.reduce((sql, [pattern, piece]) => sql.replace(pattern, piece), query);
    const { rows } = await client.query<{ line: string }>(text);
    lines.push(...rows.map((r) => r.line.replace(/\s+$/gm, '').replace(/\n\s*/g, ' ')));
  }
  return lines.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** What one has and the other has not, `-` before what is missing and `+` before what is new; empty when they are the same. */
export function differences(before: readonly string[], after: readonly string[]): string[] {
  const [old, now] = [new Set(before), new Set(after)];
  const all = [
    ...before.filter((line) => !now.has(line)).map((line) => ({ sign: '-', line })),
    ...after.filter((line) => !old.has(line)).map((line) => ({ sign: '+', line })),
  ];
  // The two versions of one thing stand under each other.
  const name = (line: string): string => line.split(':')[0] ?? line;
  return all
    .sort((a, b) => (name(a.line) === name(b.line) ? (a.sign === '-' ? -1 : 1) : name(a.line) < name(b.line) ? -1 : 1))
    .map(({ sign, line }) => `${sign} ${line}`);
}
