import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Budgets count what is charged without a hold. */
export class CountSpending1765420000000 implements MigrationInterface {
  readonly name = 'CountSpending1765420000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create function quota_spend(p_organization text, p_spent jsonb) returns table (alerts jsonb) language plpgsql as $$
      declare q record; counted timestamptz; said jsonb := '[]'; reached integer; ids text[];
      begin
        perform pg_advisory_xact_lock_shared(hashtextextended('quotas:' || p_organization, 0));
        select array_agg(x.id), max(x.window_start) into ids, counted from (
          select o.id, o.window_start from quotas o where o.organization_id = p_organization and o.dimension = 'spend'
            and (o.scope_id = p_organization or o.scope_id in (select s ->> 'projectId' from jsonb_array_elements(p_spent) as s))
          order by o.id for update) as x;
        -- A clock that is behind counts in the window that has begun.
        counted := greatest(now(), counted);
        for q in
          with added as (
            insert into quota_uses (holder, dimension, organization_id, project_id, key_id, amount, taken_at)
              select s ->> 'holder', 'spend', p_organization, s ->> 'projectId', null, (s ->> 'amountNano')::numeric, counted
                from jsonb_array_elements(p_spent) as s
              on conflict do nothing returning project_id, amount),
          sums as (
            select a.project_id as scope_id, sum(a.amount) as amount from added a group by 1
            union all select p_organization, sum(a.amount) from added a having count(*) > 0)
          update quotas o set used = case when o.window_start < quota_bucket(o.per, counted) then 0 else o.used end + s.amount,
              alerted = case when o.window_start < quota_bucket(o.per, counted) then 0 else o.alerted end,
              window_start = greatest(o.window_start, quota_bucket(o.per, counted))
            from sums s where o.id = any (ids) and o.scope_id = s.scope_id returning o.*
        loop
          reached := case when q.used * 100 >= q.limit_n * 100 and q.used > 0 then 100 when q.used * 100 >= q.limit_n * 80 and q.used > 0 then 80
            when q.used * 100 >= q.limit_n * 50 and q.used > 0 then 50 else 0 end;
          if reached > q.alerted then
            update quotas o set alerted = reached where o.id = q.id;
            said := said || jsonb_build_object('quotaId', q.id, 'scope', q.scope, 'scopeId', q.scope_id, 'dimension', q.dimension, 'per', q.per,
              'limit', q.limit_n::text, 'used', q.used::text, 'percent', reached);
          end if;
        end loop;
        return query select coalesce(jsonb_agg(a order by a ->> 'quotaId'), '[]') from jsonb_array_elements(said) as a;
      end $$;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop function quota_spend(text, jsonb)');
  }
}
