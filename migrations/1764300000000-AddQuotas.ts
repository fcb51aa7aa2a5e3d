import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Limits on what organizations, projects and keys may use at once or in a window of time, the counters beside them, and who holds what.
 * Every function that takes or gives back holds the organization's shared advisory lock; setting a limit takes it alone, so that its
 * counter starts from all that is held. Rows of quotas are locked in the order of their ids, and always after accounts.
 */
export class AddQuotas1764300000000 implements MigrationInterface {
  readonly name = 'AddQuotas1764300000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(FUNCTIONS);
    await runner.query(RENEWAL);
    await runner.query(GRANTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop function hold_renew_many(jsonb);
      drop function quota_set(text, text, text, text, text, text, text, text, numeric, text, text, text, numeric, numeric, timestamptz);
      drop function quota_give_back(text, numeric, timestamptz);
      drop function quota_release(text, text[]);
      drop function quota_count(text, text, text, jsonb);
      drop function quota_take(text, text, text, text, timestamptz, jsonb);
      drop function quota_bucket(text, timestamptz);
      drop function grants_fold(text);
      drop table credit_grant_folds, credit_grants, quota_uses, quotas, cohorts;
      drop index leases_running;
      alter table leases drop column grace_until;
      drop trigger bound on ledger_accounts;
      drop trigger bound_new on ledger_accounts;
      drop function berth_refuse_oversell();
      alter table ledger_accounts add constraint ledger_accounts_check1 check (not bounded or available_nano >= 0);
      alter table ledger_accounts drop column credit_limit_nano;
    `);
  }
}

const TABLES = `
-- How far below zero the available credit may go: what a tenant who pays afterwards may owe before it must pay.
alter table ledger_accounts add column credit_limit_nano numeric(38, 0) not null default 0 check (credit_limit_nano >= 0);
alter table ledger_accounts drop constraint ledger_accounts_check1;
alter table leases add column grace_until timestamptz;
create index leases_running on leases (project_id) where state in ('ready', 'draining') and want = 'run';
-- Not a check: a limit may be set below what is owed already, and then the debt may only shrink.
create function berth_refuse_oversell() returns trigger language plpgsql as $$
begin
  -- What a bank takes back is gone; only ledger_post says so, and never for a request.
  if current_setting('berth.below', true) = new.id and current_user <> 'berth_app' then return new; end if;
  raise exception 'account % would go below its bound', new.id using errcode = 'check_violation';
end $$;
create trigger bound before update on ledger_accounts for each row
  when (new.bounded and new.available_nano < old.available_nano and new.available_nano < -new.credit_limit_nano) execute function berth_refuse_oversell();
create trigger bound_new before insert on ledger_accounts for each row
  when (new.bounded and new.available_nano < -new.credit_limit_nano) execute function berth_refuse_oversell();

create table cohorts (
  id text primary key,
  name text not null unique,
  created_at timestamptz not null
);
create table quotas (
  id text primary key,
  organization_id text not null references organizations (id),
  project_id text,
  key_id text,
  scope text not null check (scope in ('organization', 'project', 'key')),
  scope_id text not null,
  dimension text not null,
  per text not null check (per in ('ever', 'minute', 'hour', 'day', 'month')),
  limit_n numeric(38, 0) not null check (limit_n >= 0),
  mode text not null check (mode in ('hard', 'soft')),
  policy text not null check (policy in ('keep', 'stop-newest')),
  cohort_id text references cohorts (id),
  borrowing_limit numeric(38, 0) check (borrowing_limit >= 0),
  lending_limit numeric(38, 0) check (lending_limit >= 0),
  -- Of its own part, what the owner was refused because it is lent, and until when nobody may borrow it.
  wanted_n numeric(38, 0) not null default 0 check (wanted_n >= 0),
  wanted_until timestamptz,
  used numeric(38, 0) not null check (used >= 0),
  -- The window that the use is of; the epoch where there is none.
  window_start timestamptz not null,
  -- The highest threshold in percent that was told of in this window.
  alerted integer not null,
  created_at timestamptz not null,
  unique (scope_id, dimension, per),
  check (cohort_id is null or dimension like 'gpus%')
);
create index on quotas (organization_id);
create index on quotas (cohort_id, dimension) where cohort_id is not null;
create table quota_uses (
  holder text not null,
  dimension text not null,
  organization_id text not null references organizations (id),
  project_id text not null,
  key_id text,
  amount numeric(38, 0) not null check (amount >= 0),
  taken_at timestamptz not null,
  primary key (holder, dimension)
);
create index on quota_uses (organization_id, dimension, taken_at);
create table credit_grants (
  id text primary key,
  organization_id text not null references organizations (id),
  reference text not null,
  amount_nano numeric(38, 0) not null check (amount_nano > 0),
  spent_nano numeric(38, 0) not null check (spent_nano >= 0),
  returned_nano numeric(38, 0) not null check (returned_nano >= 0),
  priority integer not null,
  expires_at timestamptz,
  state text not null check (state in ('open', 'spent', 'expired')),
  created_at timestamptz not null,
  unique (organization_id, reference),
  check (spent_nano + returned_nano <= amount_nano)
);
create index on credit_grants (expires_at) where state = 'open';
create table credit_grant_folds (
  organization_id text primary key references organizations (id),
  charged_nano numeric(38, 0) not null
);

alter table cohorts enable row level security;
alter table cohorts force row level security;
create policy worker on cohorts to berth_worker using (true) with check (true);
alter table quotas enable row level security;
alter table quotas force row level security;
-- A key of one project is bound by the limits of its organization too, so it sees those, and none of another project.
create policy tenant on quotas to berth_app using (berth_sees(organization_id, project_id)
  or (project_id is null and organization_id = nullif(current_setting('berth.organization', true), '')));
create policy worker on quotas to berth_worker using (true) with check (true);
alter table quota_uses enable row level security;
alter table quota_uses force row level security;
create policy tenant on quota_uses to berth_app using (berth_sees(organization_id, project_id)) with check (berth_sees(organization_id, project_id));
create policy worker on quota_uses to berth_worker using (true) with check (true);
alter table credit_grants enable row level security;
alter table credit_grants force row level security;
create policy tenant on credit_grants to berth_app using (organization_id = nullif(current_setting('berth.organization', true), '')) with check (organization_id = nullif(current_setting('berth.organization', true), ''));
create policy worker on credit_grants to berth_worker using (true) with check (true);
alter table credit_grant_folds enable row level security;
alter table credit_grant_folds force row level security;
create policy tenant on credit_grant_folds to berth_app using (organization_id = nullif(current_setting('berth.organization', true), ''));
create policy worker on credit_grant_folds to berth_worker using (true) with check (true);
grant select, insert, update, delete on cohorts, quotas, quota_uses, credit_grants, credit_grant_folds to berth_worker;
grant select on credit_grants to berth_app;
grant select on quotas to berth_app;
-- A request counts against its limits; what the limits are, only workers say.
grant update (used, window_start, alerted, wanted_n, wanted_until) on quotas to berth_app;
grant select, insert, update, delete on quota_uses to berth_app;
`;

const FUNCTIONS = `
create function quota_bucket(p_per text, p_at timestamptz) returns timestamptz language sql immutable parallel safe as $$
  select case when p_per = 'ever' then timestamptz 'epoch' else date_trunc(p_per, p_at, 'UTC') end
$$;
create function quota_take(p_holder text, p_organization text, p_project text, p_key text, p_at timestamptz, p_amounts jsonb)
returns table (taken boolean, refusal jsonb, alerts jsonb) language plpgsql as $$
declare q record; latest timestamptz; counted timestamptz := p_at; fresh text[]; had numeric; room numeric; pool numeric; kept numeric; claimed numeric;
  said jsonb := '[]'; reached integer; ids text[];
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('quotas:' || p_organization, 0));
  select array_agg(x.id), max(x.window_start) into ids, latest from (
    select o.id, o.window_start from quotas o where o.id in (
      select own.id from quotas own
        where own.organization_id = p_organization and own.scope_id in (p_organization, p_project, p_key) and p_amounts ? own.dimension
      union select mate.id from quotas own join quotas mate on mate.cohort_id = own.cohort_id and mate.dimension = own.dimension and mate.per = own.per
        where own.organization_id = p_organization and own.scope_id in (p_organization, p_project, p_key) and p_amounts ? own.dimension)
    order by o.id for update) as x;
  -- A clock that is behind counts in the window that has begun, so that what is given back goes to the same.
  counted := greatest(coalesce(p_at, now()), latest);
  fresh := array(select jsonb_object_keys(p_amounts));
  if p_holder is not null then
    with added as (
      insert into quota_uses (holder, dimension, organization_id, project_id, key_id, amount, taken_at)
        select p_holder, a.key, p_organization, p_project, p_key, a.value::numeric, counted from jsonb_each_text(p_amounts) as a
        on conflict do nothing returning dimension)
    select coalesce(array_agg(added.dimension), '{}') into fresh from added;
  end if;
  if ids is null then return query select true, null::jsonb, said; return; end if;
  for q in
    select o.*, (p_amounts ->> o.dimension)::numeric as asked, quota_bucket(o.per, counted) as bucket from quotas o
      where o.id = any (ids) and o.organization_id = p_organization and o.scope_id in (p_organization, p_project, p_key) and o.dimension = any (fresh)
      order by o.id
  loop
    had := case when q.window_start < q.bucket then 0 else q.used end;
    room := q.limit_n - had;
    if q.cohort_id is not null then
      select sum(least(m.limit_n, m.lending_limit) - greatest(0, m.used - (m.limit_n - least(m.limit_n, m.lending_limit)))),
          coalesce(sum(least(m.wanted_n, greatest(0, m.limit_n - m.used))) filter (where m.id <> q.id and m.wanted_until > counted), 0)
        into pool, claimed from quotas m where m.cohort_id = q.cohort_id and m.dimension = q.dimension and m.per = q.per;
      kept := greatest(0, q.limit_n - least(q.limit_n, q.lending_limit) - had);
      room := greatest(least(q.limit_n - had, kept + pool), least(q.limit_n + coalesce(q.borrowing_limit, 'infinity') - had, kept + pool - claimed));
    end if;
    if q.mode = 'hard' and q.asked > 0 and q.asked > room then
      if p_holder is not null then delete from quota_uses u where u.holder = p_holder and u.dimension = any (fresh); end if;
      -- What is its own and lent goes to its owner next.
      if q.cohort_id is not null and q.asked <= q.limit_n - had then
        update quotas o set wanted_n = q.asked, wanted_until = counted + interval '2 minutes' where o.id = q.id;
      end if;
      return query select false, jsonb_build_object('quotaId', q.id, 'scope', q.scope, 'scopeId', q.scope_id, 'dimension', q.dimension, 'per', q.per,
        'limit', q.limit_n::text, 'used', had::text, 'asked', q.asked::text, 'room', greatest(room, 0)::text, 'cohortId', q.cohort_id), said;
      return;
    end if;
  end loop;
  for q in
    update quotas o set used = case when o.window_start < quota_bucket(o.per, counted) then 0 else o.used end + (p_amounts ->> o.dimension)::numeric,
        alerted = case when o.window_start < quota_bucket(o.per, counted) then 0 else o.alerted end,
        window_start = greatest(o.window_start, quota_bucket(o.per, counted)), wanted_n = 0, wanted_until = null
      where o.id = any (ids) and o.organization_id = p_organization and o.scope_id in (p_organization, p_project, p_key) and o.dimension = any (fresh)
      returning o.*
  loop
    reached := case when q.used * 100 >= q.limit_n * 100 and q.used > 0 then 100 when q.used * 100 >= q.limit_n * 80 and q.used > 0 then 80
      when q.used * 100 >= q.limit_n * 50 and q.used > 0 then 50 else 0 end;
    if reached > q.alerted and (q.mode = 'soft' or q.dimension = 'spend') then
      update quotas o set alerted = reached where o.id = q.id;
      said := said || jsonb_build_object('quotaId', q.id, 'scope', q.scope, 'scopeId', q.scope_id, 'dimension', q.dimension, 'per', q.per,
        'limit', q.limit_n::text, 'used', q.used::text, 'percent', reached);
    end if;
  end loop;
  return query select true, null::jsonb, said;
end $$;
-- For rates alone, as a transaction of its own: nobody waits for the disk. A crash of the database may forget its last counts, never a limit.
create function quota_count(p_organization text, p_project text, p_key text, p_amounts jsonb)
returns table (taken boolean, refusal jsonb, alerts jsonb) language plpgsql as $$
declare q record; had numeric; ids text[] := '{}';
begin
  perform set_config('synchronous_commit', 'off', true);
  for q in
    select o.id, o.scope, o.scope_id, o.dimension, o.per, o.limit_n, o.mode, o.used, (p_amounts ->> o.dimension)::numeric as asked,
        o.window_start < quota_bucket(o.per, now()) as over
      from quotas o where o.organization_id = p_organization and o.scope_id in (p_organization, p_project, p_key) and p_amounts ? o.dimension
      order by o.id for update
  loop
    -- Thresholds are told of as everywhere else.
    if q.mode = 'soft' then
      return query select t.taken, t.refusal, t.alerts from quota_take(null, p_organization, p_project, p_key, null, p_amounts) as t;
      return;
    end if;
    had := case when q.over then 0 else q.used end;
    if q.asked > 0 and q.asked > q.limit_n - had then
      return query select false, jsonb_build_object('quotaId', q.id, 'scope', q.scope, 'scopeId', q.scope_id, 'dimension', q.dimension, 'per', q.per,
        'limit', q.limit_n::text, 'used', had::text, 'asked', q.asked::text, 'room', greatest(q.limit_n - had, 0)::text, 'cohortId', null), '[]'::jsonb;
      return;
    end if;
    ids := ids || q.id;
  end loop;
  update quotas o set used = case when o.window_start < quota_bucket(o.per, now()) then 0 else o.used end + (p_amounts ->> o.dimension)::numeric,
      alerted = case when o.window_start < quota_bucket(o.per, now()) then 0 else o.alerted end,
      window_start = greatest(o.window_start, quota_bucket(o.per, now()))
    where o.id = any (ids);
  return query select true, null::jsonb, '[]'::jsonb;
end $$;
create function quota_release(p_holder text, p_dimensions text[]) returns table (released integer) language plpgsql as $$
declare n integer := 0;
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('quotas:' || u.organization_id, 0)) from quota_uses u where u.holder = p_holder limit 1;
  if not found then return query select 0; return; end if;
  perform 1 from quotas o join quota_uses u on u.organization_id = o.organization_id and u.dimension = o.dimension
      and o.scope_id in (u.organization_id, u.project_id, u.key_id)
    where u.holder = p_holder and u.dimension = any (p_dimensions) and o.per = 'ever' order by o.id for update of o;
  with gone as (delete from quota_uses u where u.holder = p_holder and u.dimension = any (p_dimensions) returning u.*),
    counted as (update quotas o set used = o.used - g.amount, alerted = case when (o.used - g.amount) * 2 < o.limit_n then 0 else o.alerted end
      from gone g where g.organization_id = o.organization_id and g.dimension = o.dimension and o.per = 'ever'
        and o.scope_id in (g.organization_id, g.project_id, g.key_id))
  select count(*) into n from gone;
  return query select n;
end $$;
create function quota_give_back(p_holder text, p_amount numeric, p_at timestamptz) returns table (given_nano numeric) language plpgsql as $$
declare u quota_uses; given numeric;
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('quotas:' || x.organization_id, 0)) from quota_uses x
    where x.holder = p_holder and x.dimension = 'spend';
  if not found then return query select 0::numeric; return; end if;
  perform 1 from quotas o join quota_uses x on x.organization_id = o.organization_id and o.dimension = x.dimension
      and o.scope_id in (x.organization_id, x.project_id, x.key_id)
    where x.holder = p_holder and x.dimension = 'spend' order by o.id for update of o;
  select * into u from quota_uses x where x.holder = p_holder and x.dimension = 'spend' for update;
  given := least(u.amount, p_amount);
  update quota_uses x set amount = x.amount - given where x.holder = p_holder and x.dimension = 'spend';
  update quotas o set used = o.used - given where o.organization_id = u.organization_id and o.dimension = 'spend'
    and o.scope_id in (u.organization_id, u.project_id, u.key_id) and o.window_start = quota_bucket(o.per, u.taken_at);
  return query select given;
end $$;
create function quota_set(p_id text, p_organization text, p_project text, p_key text, p_scope text, p_scope_id text, p_dimension text, p_per text,
  p_limit numeric, p_mode text, p_policy text, p_cohort text, p_borrowing numeric, p_lending numeric, p_at timestamptz)
returns table (id text, used numeric) language plpgsql as $$
declare held numeric;
begin
  perform pg_advisory_xact_lock(hashtextextended('quotas:' || p_organization, 0));
  select sum(u.amount) into held from quota_uses u where u.organization_id = p_organization and u.dimension = p_dimension
    and p_scope_id in (u.organization_id, u.project_id, u.key_id) and quota_bucket(p_per, u.taken_at) >= quota_bucket(p_per, p_at);
  return query insert into quotas as o (id, organization_id, project_id, key_id, scope, scope_id, dimension, per, limit_n, mode, policy, cohort_id,
      borrowing_limit, lending_limit, used, window_start, alerted, created_at)
    values (p_id, p_organization, p_project, p_key, p_scope, p_scope_id, p_dimension, p_per, p_limit, p_mode, p_policy, p_cohort,
      p_borrowing, p_lending, coalesce(held, 0), quota_bucket(p_per, p_at), 0, p_at)
    on conflict (scope_id, dimension, per) do update set limit_n = excluded.limit_n, mode = excluded.mode, policy = excluded.policy,
      cohort_id = excluded.cohort_id, borrowing_limit = excluded.borrowing_limit, lending_limit = excluded.lending_limit, alerted = 0
    returning o.id, o.used;
end $$;
`;

const RENEWAL = `
create function hold_renew_many(p_renewals jsonb) returns table (renewed jsonb) language plpgsql as $$
declare answer jsonb;
begin
  -- Parts before parents, each in the order of their ids, as everybody locks them.
  perform 1 from holds h where h.id in (select jsonb_object_keys(p_renewals)) and h.state = 'held' order by h.id for update;
  perform 1 from holds p where p.state = 'held' and p.id in (
      select h.parent_id from holds h where h.id in (select jsonb_object_keys(p_renewals)) and h.state = 'held')
    order by p.id for update;
  with asked as (
    select h.id, h.parent_id, h.remaining_nano, coalesce(p.remaining_nano, 0) as parent_nano,
      case when (r.value ->> 'pastNano')::numeric - h.remaining_nano > (r.value ->> 'mostNano')::numeric then (r.value ->> 'mostNano')::numeric
        else greatest(0, (r.value ->> 'pastNano')::numeric - h.remaining_nano + (r.value ->> 'aheadNano')::numeric) end as wanted
    from jsonb_each(p_renewals) as r join holds h on h.id = r.key and h.state = 'held'
      left join holds p on p.id = h.parent_id and p.state = 'held'),
  shared as (select a.*, sum(a.wanted) over (partition by a.parent_id order by a.id) - a.wanted as before from asked a),
  given as (select s.*, greatest(0, least(s.wanted, s.parent_nano - s.before)) as moved from shared s),
  told as (select g.*, g.parent_nano - sum(g.moved) over (partition by g.parent_id) as parent_left from given g),
  parts as (update holds h set remaining_nano = h.remaining_nano + g.moved, amount_nano = h.amount_nano + g.moved
    from given g where h.id = g.id and g.moved > 0),
  parents as (update holds p set remaining_nano = p.remaining_nano - g.moved
    from (select parent_id, sum(moved) as moved from given group by parent_id) as g where p.id = g.parent_id and g.moved > 0)
  select jsonb_object_agg(g.id, jsonb_build_object('movedNano', g.moved::text, 'remainingNano', (g.remaining_nano + g.moved)::text,
      'parentNano', g.parent_left::text))
    into answer from told g;
  return query select coalesce(answer, '{}');
end $$;
`;

const GRANTS = `
create function grants_fold(p_organization text) returns table (paid_nano numeric, charged_nano numeric) language plpgsql as $$
declare charged numeric; rest numeric; paid numeric := 0; part numeric; g credit_grants;
begin
  perform 1 from ledger_accounts a where a.id = 'credit:' || p_organization for update;
  select coalesce(-sum(e.amount_nano), 0) into charged from ledger_entries e join ledger_transactions t on t.id = e.transaction_id
    where e.account_id = 'credit:' || p_organization and t.kind = 'usage';
  select charged - coalesce((select f.charged_nano from credit_grant_folds f where f.organization_id = p_organization), 0) into rest;
  insert into credit_grant_folds as f (organization_id, charged_nano) values (p_organization, charged)
    on conflict (organization_id) do update set charged_nano = excluded.charged_nano;
  for g in select * from credit_grants x where x.organization_id = p_organization and x.state = 'open'
    order by x.priority, x.expires_at nulls last, x.id for update
  loop
    part := least(rest, g.amount_nano - g.spent_nano - g.returned_nano);
    continue when part <= 0;
    rest := rest - part;
    paid := paid + part;
    update credit_grants x set spent_nano = g.spent_nano + part,
        state = case when g.spent_nano + part + g.returned_nano < g.amount_nano then 'open' when g.returned_nano > 0 then 'expired' else 'spent' end
      where x.id = g.id;
  end loop;
  return query select paid, charged;
end $$;
`;
