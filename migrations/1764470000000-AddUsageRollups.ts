import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Usage summed up by hours and days. What is inserted into `usage_records` is noted in `usage_deltas` by the same statement; a timer of
 * the worker folds the notes into the sums. A query adds both up, so it is never behind.
 */
export class AddUsageRollups1764470000000 implements MigrationInterface {
  readonly name = 'AddUsageRollups1764470000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(NOTE);
    await runner.query(FOLD);
    await runner.query(REBUILD);
    await runner.query(DIFFERENCES);
    await runner.query(EARLIER);
    await runner.query(SECURITY);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter policy tenant on usage_records using (berth_sees(organization_id, project_id)) with check (berth_sees(organization_id, project_id));
      drop trigger note_usage on usage_records;
      drop index usage_records_hours;
      drop function usage_differences(timestamptz, timestamptz, integer);
      drop function usage_rebuild(timestamptz, timestamptz);
      drop function usage_fold(integer);
      drop function usage_note();
      drop table usage_days, usage_hours, usage_job_hours, usage_deltas;
    `);
  }
}

/** What usage is told apart by; jobs are so many that they have sums of their own. Where a record has none, the text is empty, so that all of it can be the key. */
const DIMENSIONS =
  'organization_id, project_id, meter, unit, side, resource, provider_id, provider_class, model, sku, endpoint_id';
const OF_RECORD = `organization_id, project_id, meter, unit, side, resource, coalesce(provider_id, '') as provider_id,
  coalesce(provider_class, '') as provider_class, coalesce(model, '') as model, coalesce(sku, '') as sku,
  coalesce(endpoint_id, '') as endpoint_id, coalesce(job_id, '') as job_id, period_hour, quantity, amount_nano, 1::bigint as records`;
const COLUMNS = DIMENSIONS.split(', ')
  .map((name) => `${name} text not null`)
  .join(', ');
const SUMS = 'quantity numeric(38, 0) not null, amount_nano numeric(38, 0) not null, records bigint not null';
const ADDED = 'sum(quantity) as quantity, sum(amount_nano) as amount_nano, sum(records)::bigint as records';

const TABLES = `
create table usage_deltas (n bigint generated always as identity, ${COLUMNS}, job_id text not null, period_hour timestamptz not null, ${SUMS},
  primary key (organization_id, period_hour, n));
create table usage_job_hours (${COLUMNS}, job_id text not null, period_hour timestamptz not null, ${SUMS},
  primary key (organization_id, period_hour, job_id, project_id, meter, unit, side, resource, provider_id, provider_class, model, sku, endpoint_id));
create table usage_hours (${COLUMNS}, period_hour timestamptz not null, ${SUMS},
  primary key (organization_id, period_hour, project_id, meter, unit, side, resource, provider_id, provider_class, model, sku, endpoint_id));
create table usage_days (${COLUMNS}, period_day timestamptz not null, ${SUMS},
  primary key (organization_id, period_day, project_id, meter, unit, side, resource, provider_id, provider_class, model, sku, endpoint_id));
-- Records come in about the order of their time: a few pages of index say where a day lies.
create index usage_records_hours on usage_records using brin (period_hour);
`;

const NOTE = `
create function usage_note() returns trigger language plpgsql as $$
begin
  insert into usage_deltas (${DIMENSIONS}, job_id, period_hour, quantity, amount_nano, records)
    select ${DIMENSIONS}, job_id, period_hour, ${ADDED} from (select ${OF_RECORD} from added) as used group by ${DIMENSIONS}, job_id, period_hour;
  return null;
end $$;
create trigger note_usage after insert on usage_records referencing new table as added for each statement execute function usage_note();
`;

/** One at a time: whoever comes second leaves the work to the first. */
const FOLD = `
create function usage_fold(p_limit integer) returns table (folded bigint) language plpgsql as $$
begin
  if not pg_try_advisory_xact_lock(hashtext('usage_rollups')) then return query select 0::bigint; return; end if;
  return query with taken as (
    delete from usage_deltas where ctid = any (array(select d.ctid from usage_deltas d limit p_limit)) returning *
  ), jobs as (
    insert into usage_job_hours as kept (${DIMENSIONS}, job_id, period_hour, quantity, amount_nano, records)
      select ${DIMENSIONS}, job_id, period_hour, ${ADDED} from taken group by ${DIMENSIONS}, job_id, period_hour
    on conflict (${DIMENSIONS}, job_id, period_hour) do update set quantity = kept.quantity + excluded.quantity,
      amount_nano = kept.amount_nano + excluded.amount_nano, records = kept.records + excluded.records
  ), hours as (
    insert into usage_hours as kept (${DIMENSIONS}, period_hour, quantity, amount_nano, records)
      select ${DIMENSIONS}, period_hour, ${ADDED} from taken group by ${DIMENSIONS}, period_hour
    on conflict (${DIMENSIONS}, period_hour) do update set quantity = kept.quantity + excluded.quantity,
      amount_nano = kept.amount_nano + excluded.amount_nano, records = kept.records + excluded.records
  ), days as (
    insert into usage_days as kept (${DIMENSIONS}, period_day, quantity, amount_nano, records)
      select ${DIMENSIONS}, date_trunc('day', period_hour, 'UTC'), ${ADDED} from taken group by ${DIMENSIONS}, date_trunc('day', period_hour, 'UTC')
    on conflict (${DIMENSIONS}, period_day) do update set quantity = kept.quantity + excluded.quantity,
      amount_nano = kept.amount_nano + excluded.amount_nano, records = kept.records + excluded.records
  ) select count(*) from taken;
end $$;
`;

/**
 * Whole days anew from the records. What is folded are the records less what still waits, and one statement sees both of one moment;
 * nothing is folded meanwhile, and inserts go on.
 */
const REBUILD = `
create function usage_rebuild(p_from timestamptz, p_to timestamptz) returns table (hours bigint, days bigint, records bigint)
language plpgsql as $$
declare n_hours bigint; n_days bigint; n_records bigint;
begin
  if p_from <> date_trunc('day', p_from, 'UTC') or p_to <> date_trunc('day', p_to, 'UTC') then
    raise exception 'whole days only' using errcode = 'invalid_parameter_value';
  end if;
  perform pg_advisory_xact_lock(hashtext('usage_rollups'));
  delete from usage_job_hours h where h.period_hour >= p_from and h.period_hour < p_to;
  delete from usage_hours h where h.period_hour >= p_from and h.period_hour < p_to;
  delete from usage_days d where d.period_day >= p_from and d.period_day < p_to;
  insert into usage_job_hours (${DIMENSIONS}, job_id, period_hour, quantity, amount_nano, records)
    select ${DIMENSIONS}, u.job_id, u.period_hour, sum(u.quantity), sum(u.amount_nano), sum(u.records) from (
      select ${OF_RECORD} from usage_records
        where period_month >= date_trunc('month', p_from, 'UTC') and period_month < p_to and period_hour >= p_from and period_hour < p_to
      union all
      select ${DIMENSIONS}, w.job_id, w.period_hour, -w.quantity, -w.amount_nano, -w.records from usage_deltas w
        where w.period_hour >= p_from and w.period_hour < p_to
    ) u group by ${DIMENSIONS}, u.job_id, u.period_hour
    having sum(u.records) <> 0 or sum(u.quantity) <> 0 or sum(u.amount_nano) <> 0;
  insert into usage_hours (${DIMENSIONS}, period_hour, quantity, amount_nano, records)
    select ${DIMENSIONS}, h.period_hour, sum(h.quantity), sum(h.amount_nano), sum(h.records) from usage_job_hours h
    where h.period_hour >= p_from and h.period_hour < p_to group by ${DIMENSIONS}, h.period_hour;
  get diagnostics n_hours = row_count;
  insert into usage_days (${DIMENSIONS}, period_day, quantity, amount_nano, records)
    select ${DIMENSIONS}, date_trunc('day', h.period_hour, 'UTC'), sum(h.quantity), sum(h.amount_nano), sum(h.records) from usage_hours h
    where h.period_hour >= p_from and h.period_hour < p_to group by ${DIMENSIONS}, date_trunc('day', h.period_hour, 'UTC');
  get diagnostics n_days = row_count;
  select coalesce(sum(d.records), 0)::bigint into n_records from usage_days d where d.period_day >= p_from and d.period_day < p_to;
  return query select n_hours, n_days, n_records;
end $$;
`;

/** One comparison of sums with the records: what is kept and waits against what was used. */
const compared = (table: string, name: string, period: string, dimensions: string, job: string): string => `
  (select '${name}', ${period}, ${DIMENSIONS}, ${job},
    sum(quantity) filter (where raw), sum(quantity) filter (where not raw), sum(amount_nano) filter (where raw),
    sum(amount_nano) filter (where not raw), sum(records) filter (where raw), sum(records) filter (where not raw)
  from (
    select ${dimensions}, ${period === 'period_day' ? "date_trunc('day', period_hour, 'UTC') as period_day" : period}, quantity, amount_nano, records, raw from used
    union all
    select ${dimensions}, ${period}, quantity, amount_nano, records, false from ${table} where ${period} >= p_from and ${period} < p_to
  ) both_sides group by ${dimensions}, ${period}
  having sum(case when raw then records else -records end) <> 0 or sum(case when raw then quantity else -quantity end) <> 0
    or sum(case when raw then amount_nano else -amount_nano end) <> 0)`;

const DIFFERENCES = `
create function usage_differences(p_from timestamptz, p_to timestamptz, p_limit integer) returns table (kept_in text, period timestamptz,
  organization_id text, project_id text, meter text, unit text, side text, resource text, provider_id text, provider_class text, model text,
  sku text, endpoint_id text, job_id text, raw_quantity numeric, kept_quantity numeric, raw_amount_nano numeric, kept_amount_nano numeric,
  raw_records numeric, kept_records numeric)
language sql stable as $$
  with used as materialized (
    select ${DIMENSIONS}, job_id, period_hour, ${ADDED}, true as raw from (
      select ${OF_RECORD} from usage_records
        where period_month >= date_trunc('month', p_from, 'UTC') and period_month < p_to and period_hour >= p_from and period_hour < p_to
    ) as records group by ${DIMENSIONS}, job_id, period_hour
    union all
    select ${DIMENSIONS}, job_id, period_hour, sum(quantity), sum(amount_nano), sum(records)::bigint, false
    from usage_deltas where period_hour >= p_from and period_hour < p_to group by ${DIMENSIONS}, job_id, period_hour
  )
  ${compared('usage_days', 'days', 'period_day', DIMENSIONS, "''")}
  union all ${compared('usage_hours', 'hours', 'period_hour', DIMENSIONS, "''")}
  union all ${compared('usage_job_hours', 'job hours', 'period_hour', `${DIMENSIONS}, job_id`, 'job_id')}
  limit p_limit
$$;
`;

/** Sums of what was used before there were any. */
const EARLIER = `
alter table usage_records no force row level security;
select usage_rebuild(date_trunc('day', least(now(), min(period_hour)), 'UTC'), date_trunc('day', greatest(now(), max(period_hour)), 'UTC') + interval '1 day') from usage_records;
alter table usage_records force row level security;
`;

/** What a provider is owed is nobody's business but the broker's: no tenant sees it, here or in the records. */
const SECURITY = `
do $$
declare t text;
begin
  foreach t in array array['usage_deltas', 'usage_job_hours', 'usage_hours', 'usage_days'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to berth_app using (berth_sees(organization_id, project_id) and side <> ''cost'') with check (berth_sees(organization_id, project_id))', t);
    execute format('create policy worker on %I to berth_worker using (true) with check (true)', t);
  end loop;
end $$;
alter policy tenant on usage_records using (berth_sees(organization_id, project_id) and side <> 'cost') with check (berth_sees(organization_id, project_id));
grant select on usage_deltas, usage_job_hours, usage_hours, usage_days to berth_app;
-- What tenants tell of moves no money: neither do the notes of it.
grant insert on usage_deltas to berth_app;
create policy told on usage_deltas as restrictive for insert to berth_app with check (side = 'charge' and amount_nano = 0);
grant select, insert, update, delete on usage_deltas, usage_job_hours, usage_hours, usage_days to berth_worker;
revoke execute on function usage_note(), usage_fold(integer), usage_rebuild(timestamptz, timestamptz), usage_differences(timestamptz, timestamptz, integer) from public;
grant execute on function usage_note(), usage_fold(integer), usage_rebuild(timestamptz, timestamptz), usage_differences(timestamptz, timestamptz, integer) to berth_worker;
`;
