import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a rate owes is worked off by the windows that `quota_take` and `quota_count` begin too, not only by the ones that pieces of work begin. */
export class CarryOwed1765530000000 implements MigrationInterface {
  readonly name = 'CarryOwed1765530000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create function quota_carried(p_per text, p_start timestamptz, p_bucket timestamptz, p_owed numeric, p_limit numeric)
      returns numeric language sql immutable parallel safe as $$
        select greatest(0, p_owed - p_limit * (-1 + case when p_per = 'month'
          then (extract(year from p_bucket at time zone 'UTC') - extract(year from p_start at time zone 'UTC')) * 12
            + extract(month from p_bucket at time zone 'UTC') - extract(month from p_start at time zone 'UTC')
          else round(extract(epoch from p_bucket - p_start) / case p_per when 'minute' then 60 when 'hour' then 3600 else 86400 end) end))
      $$;
    `);
    await runner.query(functions(true));
    // Requests of tenants count under limits, too: the functions write this column with their rights.
    await runner.query('grant update (owed) on quotas to berth_app');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('revoke update (owed) on quotas from berth_app');
    await runner.query(functions(false));
    await runner.query('drop function quota_carried(text, timestamptz, timestamptz, numeric, numeric)');
  }
}

/** Both functions, as they carry what is owed into a window that they begin, and as they left it to the one after. */
function functions(carries: boolean): string {
  const carried = (q: string, bucket: string) =>
    carries ? `quota_carried(${q}.per, ${q}.window_start, ${bucket}, ${q}.owed, ${q}.limit_n)` : '0';
  // What fits leaves nothing owed, also where the limit was raised since.
  const owed = (at: string) =>
    carries
      ? `
        owed = case when o.mode = 'hard' and (p_amounts ->> o.dimension)::numeric > 0 then 0
          when o.window_start < quota_bucket(o.per, ${at}) then greatest(0, ${carried('o', `quota_bucket(o.per, ${at})`)} - o.limit_n) else o.owed end,`
      : '';
  const counted = carries ? 'o.owed, o.window_start, ' : '';
  return `
create or replace function quota_take(p_holder text, p_organization text, p_project text, p_key text, p_at timestamptz, p_amounts jsonb)
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
    had := case when q.window_start < q.bucket then ${carried('q', 'q.bucket')} else q.used end;
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
    update quotas o set used = case when o.window_start < quota_bucket(o.per, counted) then ${carried('o', 'quota_bucket(o.per, counted)')} else o.used end + (p_amounts ->> o.dimension)::numeric,${owed('counted')}
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
create or replace function quota_count(p_organization text, p_project text, p_key text, p_amounts jsonb)
returns table (taken boolean, refusal jsonb, alerts jsonb) language plpgsql as $$
declare q record; had numeric; ids text[] := '{}';
begin
  perform set_config('synchronous_commit', 'off', true);
  for q in
    select o.id, o.scope, o.scope_id, o.dimension, o.per, o.limit_n, o.mode, o.used, ${counted}(p_amounts ->> o.dimension)::numeric as asked,
        o.window_start < quota_bucket(o.per, now()) as over
      from quotas o where o.organization_id = p_organization and o.scope_id in (p_organization, p_project, p_key) and p_amounts ? o.dimension
      order by o.id for update
  loop
    -- Thresholds are told of as everywhere else.
    if q.mode = 'soft' then
      return query select t.taken, t.refusal, t.alerts from quota_take(null, p_organization, p_project, p_key, null, p_amounts) as t;
      return;
    end if;
    had := case when q.over then ${carried('q', 'quota_bucket(q.per, now())')} else q.used end;
    if q.asked > 0 and q.asked > q.limit_n - had then
      return query select false, jsonb_build_object('quotaId', q.id, 'scope', q.scope, 'scopeId', q.scope_id, 'dimension', q.dimension, 'per', q.per,
        'limit', q.limit_n::text, 'used', had::text, 'asked', q.asked::text, 'room', greatest(q.limit_n - had, 0)::text, 'cohortId', null), '[]'::jsonb;
      return;
    end if;
    ids := ids || q.id;
  end loop;
  update quotas o set used = case when o.window_start < quota_bucket(o.per, now()) then ${carried('o', 'quota_bucket(o.per, now())')} else o.used end + (p_amounts ->> o.dimension)::numeric,${owed('now()')}
      alerted = case when o.window_start < quota_bucket(o.per, now()) then 0 else o.alerted end,
      window_start = greatest(o.window_start, quota_bucket(o.per, now()))
    where o.id = any (ids);
  return query select true, null::jsonb, '[]'::jsonb;
end $$;
`;
}
