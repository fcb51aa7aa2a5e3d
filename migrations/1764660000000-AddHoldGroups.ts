import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Holds for several jobs in one call: one of many jobs that are taken or refused together, and several that are taken or refused each by
 * itself. Rows are locked as by one hold: the account, then all the quotas in the order of their ids.
 */
export class AddHoldGroups1764660000000 implements MigrationInterface {
  readonly name = 'AddHoldGroups1764660000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(FUNCTIONS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop function hold_take_many(text, timestamptz, jsonb);
      drop function hold_take_shared(text, text, text, text, timestamptz, jsonb);
    `);
  }
}

const FUNCTIONS = `
create function hold_take_shared(p_id text, p_organization text, p_project text, p_key text, p_at timestamptz, p_parts jsonb)
returns table (taken boolean, refusal jsonb, alerts jsonb) language plpgsql as $$
declare total numeric; jobs integer; counted record;
begin
  select sum((x ->> 'amountNano')::numeric), count(*) into total, jobs from jsonb_array_elements(p_parts) as x;
  select * into counted from hold_take(p_id, p_organization, p_project, p_key, null, null, total, p_at, jsonb_build_object('jobs-queued', jobs));
  if not counted.taken then return query select false, counted.refusal, counted.alerts; return; end if;
  -- Each job waits for a machine by itself.
  with whole as (delete from quota_uses u where u.holder = p_id and u.dimension = 'jobs-queued' returning u.taken_at)
  insert into quota_uses (holder, dimension, organization_id, project_id, key_id, amount, taken_at)
    select x ->> 'id', 'jobs-queued', p_organization, p_project, p_key, 1, whole.taken_at from whole, jsonb_array_elements(p_parts) as x;
  insert into holds (id, organization_id, project_id, parent_id, job_id, lease_id, state, amount_nano, remaining_nano, created_at)
    select x ->> 'id', p_organization, p_project, p_id, x ->> 'jobId', null, 'held', (x ->> 'amountNano')::numeric, (x ->> 'amountNano')::numeric, p_at
    from jsonb_array_elements(p_parts) as x;
  -- All of it is carved out: from now on each job's part stands alone.
  update holds set state = 'settled', remaining_nano = 0, ended_at = p_at where id = p_id;
  return query select true, null::jsonb, counted.alerts;
end $$;
create function hold_take_many(p_organization text, p_at timestamptz, p_requests jsonb) returns table (outcomes jsonb) language plpgsql as $$
declare r jsonb; one record; answer jsonb := '[]';
begin
  perform 1 from ledger_accounts a where a.id = 'credit:' || p_organization for update;
  perform pg_advisory_xact_lock_shared(hashtextextended('quotas:' || p_organization, 0));
  -- Requests for several projects and keys: all their limits before the first counts, so that the order of ids holds over all of them.
  perform 1 from quotas o where o.organization_id = p_organization and o.scope_id in (
      select p_organization union select x ->> 'projectId' from jsonb_array_elements(p_requests) as x
      union select x ->> 'keyId' from jsonb_array_elements(p_requests) as x)
    and (o.dimension = 'spend' or o.dimension in (select jsonb_object_keys(x -> 'quotas') from jsonb_array_elements(p_requests) as x))
    order by o.id for update;
  for r in select x.value from jsonb_array_elements(p_requests) with ordinality as x (value, n) order by x.n loop
    select * into one from hold_take(r ->> 'id', p_organization, r ->> 'projectId', r ->> 'keyId', r ->> 'jobId', r ->> 'leaseId',
      (r ->> 'amountNano')::numeric, p_at, r -> 'quotas');
    answer := answer || jsonb_build_object('taken', one.taken, 'refusal', one.refusal, 'alerts', one.alerts);
  end loop;
  return query select answer;
end $$;
`;
