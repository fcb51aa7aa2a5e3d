import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Usage that tenants tell of as events. What makes an event once-only lies apart from the usage records, because those are cut by the
 * month of the event's time: (source, id) must be unique whatever time an event carries.
 */
export class AddUsageEvents1764460000000 implements MigrationInterface {
  readonly name = 'AddUsageEvents1764460000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(FUNCTIONS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop function usage_unattributed_count(integer);
      drop function usage_events_forget(timestamptz, integer);
      drop function usage_ingest(text, timestamptz, text[], text[], text[], bytea[], bigint[], text[], text[], numeric[], text[], text[], text[],
        text[], text[], text[], text[]);
      drop policy told on usage_records;
      revoke insert on usage_records from berth_app;
      drop table usage_unattributed, usage_events;
    `);
  }
}

const HASH_PARTITIONS = 16;

const TABLES = `
create table usage_events (
  organization_id text not null,
  source text not null,
  event_id text not null,
  -- SHA-256 of what the event says.
  payload_hash bytea not null check (length(payload_hash) = 32),
  -- The id and key of the usage record that it became, or is to become.
  usage_id text not null,
  received_at timestamptz not null,
  primary key (organization_id, source, event_id)
) partition by hash (organization_id, source, event_id);
${Array.from(
  { length: HASH_PARTITIONS },
  (_, i) =>
    `create table partitions.usage_events_${String(i).padStart(2, '0')} partition of usage_events for values with (modulus ${HASH_PARTITIONS}, remainder ${i});`,
).join('\n')}
-- All rows of a batch have one value, so that this index stays small and is written at its end only.
create index on usage_events (received_at);
create table usage_unattributed (
  id text primary key,
  organization_id text not null,
  source text not null,
  event_id text not null,
  at timestamptz not null,
  meter text not null,
  unit text not null,
  quantity numeric(38, 0) not null check (quantity >= 0),
  project_id text,
  job_id text,
  endpoint_id text,
  lease_id text,
  model text,
  resource text not null,
  reason text not null check (reason in ('no-project', 'unknown-project', 'unknown-job', 'unknown-lease', 'projects-differ')),
  created_at timestamptz not null
);
create index on usage_unattributed (organization_id, id);
create index on usage_unattributed (created_at);
alter table usage_events enable row level security;
alter table usage_events force row level security;
create policy tenant on usage_events to berth_app using (organization_id = nullif(current_setting('berth.organization', true), '')) with check (organization_id = nullif(current_setting('berth.organization', true), ''));
create policy worker on usage_events to berth_worker using (true) with check (true);
alter table usage_unattributed enable row level security;
alter table usage_unattributed force row level security;
create policy tenant on usage_unattributed to berth_app using (berth_sees(organization_id, project_id)) with check (berth_sees(organization_id, project_id));
create policy worker on usage_unattributed to berth_worker using (true) with check (true);
grant select, insert on usage_events to berth_app;
grant select, insert, delete on usage_unattributed to berth_app;
grant select, insert, delete on usage_events, usage_unattributed to berth_worker;
-- What a request may write of usage is what its tenant tells: it moves no money and cannot pass for what Berth has measured.
grant insert on usage_records to berth_app;
create policy told on usage_records as restrictive for insert to berth_app
  with check (amount_nano = 0 and unit_price_nano = 0 and transaction_id is null and side = 'charge' and source not in ('lease', 'shard', 'commitment'));
`;

/**
 * Rows go in sorted by (source, id): two batches that hold the same events lock them in one order. Each statement of the function sees
 * what others have committed by then, so what did not go in is there to be compared with.
 */
const FUNCTIONS = `
create function usage_ingest(p_organization text, p_at timestamptz, p_ids text[], p_sources text[], p_event_ids text[], p_hashes bytea[],
  p_times bigint[], p_meters text[], p_units text[], p_quantities numeric[], p_projects text[], p_jobs text[], p_endpoints text[], p_leases text[],
  p_models text[], p_resources text[], p_reasons text[])
returns table (outcomes text) language plpgsql as $$
declare added text[]; mine text[]; attributed bigint;
begin
  with new_ones as (
    insert into usage_events (organization_id, source, event_id, payload_hash, usage_id, received_at)
      select distinct on (g.source, g.event_id) p_organization, g.source, g.event_id, g.hash, g.id, p_at
      from unnest(p_ids, p_sources, p_event_ids, p_hashes) with ordinality as g (id, source, event_id, hash, n)
      order by g.source, g.event_id, g.n
    on conflict do nothing returning usage_id)
  select coalesce(array_agg(usage_id), '{}') into added from new_ones;
  select coalesce(array_agg(id), '{}') into mine from projects
    where organization_id = p_organization and id in (select distinct x from unnest(p_projects) as x where x is not null);
  insert into usage_records (id, key, organization_id, project_id, lease_id, job_id, endpoint_id, provider_id, provider_class, meter, side,
      resource, model, sku, source, from_at, to_at, period_hour, period_month, quantity, unit, unit_price_nano, amount_nano, transaction_id, created_at)
    select g.id, g.id, p_organization, g.project, g.lease, g.job, g.endpoint, null, null, g.meter, 'charge', g.resource, g.model, null, g.source,
      t.at, t.at + interval '1 millisecond', date_trunc('hour', t.at, 'UTC'), date_trunc('month', t.at, 'UTC'), g.quantity, g.unit, 0, 0, null, p_at
    from unnest(p_ids, p_sources, p_times, p_meters, p_units, p_quantities, p_projects, p_jobs, p_endpoints, p_leases, p_models, p_resources,
        p_reasons) as g (id, source, ms, meter, unit, quantity, project, job, endpoint, lease, model, resource, reason)
      join unnest(added) as a (id) on a.id = g.id
      join unnest(mine) as m (id) on m.id = g.project
      cross join lateral (select to_timestamp(g.ms / 1000.0::double precision)) as t (at)
    where g.reason is null;
  get diagnostics attributed = row_count;
  if attributed = cardinality(p_ids) then return query select repeat('a', cardinality(p_ids)); return; end if;
  if attributed < cardinality(added) then
    insert into usage_unattributed (id, organization_id, source, event_id, at, meter, unit, quantity, project_id, job_id, endpoint_id, lease_id,
        model, resource, reason, created_at)
      select g.id, p_organization, g.source, g.event_id, to_timestamp(g.ms / 1000.0::double precision), g.meter, g.unit, g.quantity, g.project,
        g.job, g.endpoint, g.lease, g.model, g.resource, coalesce(g.reason, 'unknown-project'), p_at
      from unnest(p_ids, p_sources, p_event_ids, p_times, p_meters, p_units, p_quantities, p_projects, p_jobs, p_endpoints, p_leases, p_models,
          p_resources, p_reasons)
          as g (id, source, event_id, ms, meter, unit, quantity, project, job, endpoint, lease, model, resource, reason)
        join unnest(added) as a (id) on a.id = g.id
        left join unnest(mine) as m (id) on m.id = g.project
      where g.reason is not null or m.id is null;
  end if;
  return query
    select string_agg(case
        -- A subquery, not a join: it is looked up for those few that did not go in.
        when a.id is null then case when g.hash = (select e.payload_hash from usage_events e
          where e.organization_id = p_organization and e.source = g.source and e.event_id = g.event_id) then 'd' else 'c' end
        when m.id is not null and g.reason is null then 'a' else 'u' end, '' order by g.n)
    from unnest(p_ids, p_sources, p_event_ids, p_hashes, p_projects, p_reasons) with ordinality as g (id, source, event_id, hash, project, reason, n)
      left join unnest(added) as a (id) on a.id = g.id
      left join unnest(mine) as m (id) on m.id = g.project;
end $$;
-- What no event in the window can repeat any more; so many at once that nobody waits.
create function usage_events_forget(p_before timestamptz, p_most integer) returns table (forgotten bigint) language plpgsql as $$
declare gone bigint;
begin
  delete from usage_events e using (
      select o.organization_id, o.source, o.event_id from usage_events o where o.received_at < p_before limit p_most) old
    where e.organization_id = old.organization_id and e.source = old.source and e.event_id = old.event_id;
  get diagnostics gone = row_count;
  return query select gone;
end $$;
create function usage_unattributed_count(p_most integer) returns table (waiting bigint) language sql stable as $$
  select count(*) from (select 1 from usage_unattributed limit p_most) r
$$;
`;
