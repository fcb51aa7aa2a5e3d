import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What changed in the catalog since a reader last looked, and what each offer cost over time. `revision` is the id of the transaction
 * that wrote the row last; the ids of transactions that still run are above the lower end that `catalog_horizon` gives.
 */
export class AddCatalogChanges1764700000000 implements MigrationInterface {
  readonly name = 'AddCatalogChanges1764700000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(FUNCTIONS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop function catalog_removals_forget(timestamptz);
      drop function catalog_withdraw(text[], text[], timestamptz);
      drop function catalog_publish(jsonb, timestamptz, bigint);
      drop function catalog_horizon();
      drop table price_events, catalog_marks, offer_removals;
      alter table offers drop column revision, drop column missed;
    `);
  }
}

const TABLES = `
alter table offers
  add column revision bigint not null default pg_current_xact_id()::text::bigint,
  add column missed integer not null default 0 check (missed >= 0);
create index on offers (revision);
create table offer_removals (
  id text primary key,
  revision bigint not null,
  removed_at timestamptz not null
);
create index on offer_removals (revision);
create index on offer_removals (removed_at);
create table catalog_marks (
  name text primary key,
  value bigint not null
);
create table price_events (
  offer_id text not null,
  at timestamptz not null,
  kind text not null check (kind in ('listed', 'changed', 'gone')),
  price_per_hour numeric(38, 0) not null,
  stock integer,
  available boolean not null,
  source text not null,
  why text,
  primary key (offer_id, at)
);
create index on price_events (at);
grant select, insert, update, delete on offer_removals, catalog_marks, price_events to berth_worker;
`;

const FUNCTIONS = `
create function catalog_horizon() returns table (low bigint, high bigint) language sql volatile as $$
  select pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
$$;
create function catalog_publish(p_offers jsonb, p_at timestamptz, p_refresh_ms bigint)
returns table (added bigint, changed bigint, refreshed bigint, unchanged bigint) language sql volatile as $$
  with given as materialized (
    select x.id, x."providerId" as provider_id, x.status, x.accelerator, x."acceleratorVendor" as accelerator_vendor, x.count, x.region, x.pricing,
      x."pricePerHour" as price_per_hour, x."pricePerGpuHour" as price_per_gpu_hour, x.source, to_timestamp(x."observedAt" / 1000.0) as observed_at,
      x.doubtful, x.missed, x.body, (x.body ->> 'stock')::double precision as stock
    from jsonb_to_recordset(p_offers) as x (id text, "providerId" text, status text, accelerator text, "acceleratorVendor" text,
      count double precision, region text, pricing text, "pricePerHour" numeric, "pricePerGpuHour" numeric, source text,
      "observedAt" double precision, doubtful boolean, missed integer, body jsonb)
  ), compared as materialized (
    select g.*,
      case when o.id is null then 'added'
        when o.price_per_hour <> g.price_per_hour or o.body <> g.body or o.missed <> g.missed then 'changed'
        when g.observed_at >= o.observed_at + p_refresh_ms * interval '1 millisecond' then 'refreshed'
        else 'unchanged' end as what,
      not g.doubtful and g.stock is distinct from 0 as available,
      o.price_per_hour is distinct from g.price_per_hour
        or (not o.doubtful and (o.body ->> 'stock')::double precision is distinct from 0)
          is distinct from (not g.doubtful and g.stock is distinct from 0) as told
    from given g left join offers o on o.id = g.id
  ), written as (
    insert into offers as t (id, provider_id, status, accelerator, accelerator_vendor, count, region, pricing, price_per_hour, price_per_gpu_hour,
        source, observed_at, doubtful, body, revision, missed)
      select c.id, c.provider_id, c.status, c.accelerator, c.accelerator_vendor, c.count, c.region, c.pricing, c.price_per_hour, c.price_per_gpu_hour,
        c.source, c.observed_at, c.doubtful, c.body, pg_current_xact_id()::text::bigint, c.missed
      from compared c where c.what <> 'unchanged' order by c.id
    on conflict (id) do update set provider_id = excluded.provider_id, status = excluded.status, accelerator = excluded.accelerator,
      accelerator_vendor = excluded.accelerator_vendor, count = excluded.count, region = excluded.region, pricing = excluded.pricing,
      price_per_hour = excluded.price_per_hour, price_per_gpu_hour = excluded.price_per_gpu_hour, source = excluded.source,
      observed_at = excluded.observed_at, doubtful = excluded.doubtful, body = excluded.body, revision = excluded.revision, missed = excluded.missed
  ), back as (
    delete from offer_removals r using compared c where r.id = c.id and c.what = 'added'
  ), noted as (
    insert into price_events as e (offer_id, at, kind, price_per_hour, stock, available, source, why)
      select c.id, p_at, case c.what when 'added' then 'listed' else 'changed' end, c.price_per_hour, c.stock, c.available, c.source, c.body -> 'doubts' ->> 0
      from compared c where c.told
    on conflict (offer_id, at) do update set kind = excluded.kind, price_per_hour = excluded.price_per_hour, stock = excluded.stock,
      available = excluded.available, source = excluded.source, why = excluded.why
  )
  select count(*) filter (where c.what = 'added'), count(*) filter (where c.what = 'changed'),
    count(*) filter (where c.what = 'refreshed'), count(*) filter (where c.what = 'unchanged') from compared c;
$$;
create function catalog_withdraw(p_ids text[], p_whys text[], p_at timestamptz) returns table (removed bigint) language sql volatile as $$
  with gone as (
    delete from offers o using unnest(p_ids, p_whys) as given (id, why) where o.id = given.id
    returning o.id, o.price_per_hour, o.source, given.why
  ), told as (
    insert into offer_removals as r (id, revision, removed_at) select g.id, pg_current_xact_id()::text::bigint, p_at from gone g
    on conflict (id) do update set revision = excluded.revision, removed_at = excluded.removed_at
  ), noted as (
    insert into price_events as e (offer_id, at, kind, price_per_hour, stock, available, source, why)
      select g.id, p_at, 'gone', g.price_per_hour, 0, false, g.source, g.why from gone g
    on conflict (offer_id, at) do update set kind = excluded.kind, price_per_hour = excluded.price_per_hour, stock = excluded.stock,
      available = excluded.available, source = excluded.source, why = excluded.why
  )
  select count(*) from gone;
$$;
create function catalog_removals_forget(p_before timestamptz) returns table (forgotten bigint) language sql volatile as $$
  with horizon as materialized (
    select h.high from catalog_horizon() h
  ), gone as (
    delete from offer_removals r where r.removed_at < p_before returning r.revision
  ), mark as (
    insert into catalog_marks as m (name, value)
      select 'removals-known-above', max(g.revision) from gone g, horizon h where g.revision < h.high having count(*) > 0
    on conflict (name) do update set value = case
      when m.value < (select h.high from horizon h) then greatest(m.value, excluded.value) else excluded.value end
  )
  select count(*) from gone;
$$;
`;
