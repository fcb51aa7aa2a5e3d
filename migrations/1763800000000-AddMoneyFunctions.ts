import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What money does in several steps is one function each: one round trip, and rows locked in one order (a hold, its parent, accounts by id).
 * They run with the rights of the caller. Their twins for the store in memory stand beside their callers in libs/money.
 */
export class AddMoneyFunctions1763800000000 implements MigrationInterface {
  readonly name = 'AddMoneyFunctions1763800000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(FUNCTIONS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop function hold_take(text, text, text, text, text, text, numeric, timestamptz, jsonb);
      drop function hold_carve(text, text, text, numeric, numeric, timestamptz);
      drop function hold_extend(text, numeric);
      drop function hold_settle(text, text, timestamptz);
      drop function ledger_post(text, text, text, text, text, text, timestamptz, jsonb);
      drop function meter_time(text, text, text, text, text, text, boolean, timestamptz, jsonb);
    `);
  }
}

const FUNCTIONS = `
create function hold_take(p_id text, p_organization text, p_project text, p_key text, p_job text, p_lease text, p_amount numeric, p_at timestamptz,
  p_quotas jsonb)
returns table (taken boolean, refusal jsonb, alerts jsonb) language plpgsql as $$
declare counted record; credit ledger_accounts; unpaid numeric := 0;
begin
  -- What costs nothing needs no credit.
  if p_amount > 0 then
    select * into credit from ledger_accounts where id = 'credit:' || p_organization for update;
    -- A statement of its own, after the lock: an invoice that was issued meanwhile is seen.
    if credit.credit_limit_nano > 0 then
      select greatest(0, -a.balance_nano) into unpaid from ledger_accounts a where a.id = 'receivable:' || p_organization;
    end if;
    if credit.id is null or credit.available_nano + greatest(0, credit.credit_limit_nano - coalesce(unpaid, 0)) < p_amount then
      return query select false, null::jsonb, '[]'::jsonb;
      return;
    end if;
    update ledger_accounts set available_nano = available_nano - p_amount, held_nano = held_nano + p_amount where id = credit.id;
  end if;
  select * into counted from quota_take(p_id, p_organization, p_project, p_key, p_at, p_quotas || jsonb_build_object('spend', p_amount));
  if not counted.taken then
    update ledger_accounts set available_nano = available_nano + p_amount, held_nano = held_nano - p_amount where id = 'credit:' || p_organization;
    return query select false, counted.refusal, '[]'::jsonb;
    return;
  end if;
  insert into holds (id, organization_id, project_id, parent_id, job_id, lease_id, state, amount_nano, remaining_nano, created_at)
    values (p_id, p_organization, p_project, null, p_job, p_lease, 'held', p_amount, p_amount, p_at);
  return query select true, null::jsonb, counted.alerts;
end $$;
create function hold_carve(p_id text, p_parent text, p_lease text, p_least numeric, p_wanted numeric, p_at timestamptz)
returns table (amount_nano numeric, organization_id text, project_id text) language plpgsql as $$
declare parent holds;
begin
  select * into parent from holds h where h.id = p_parent and h.state = 'held' for update;
  if parent.id is null or parent.remaining_nano < p_least then
    return query select null::numeric, null::text, null::text;
    return;
  end if;
  update holds h set remaining_nano = h.remaining_nano - least(parent.remaining_nano, p_wanted) where h.id = p_parent;
  return query insert into holds as h (id, organization_id, project_id, parent_id, job_id, lease_id, state, amount_nano, remaining_nano, created_at)
    values (p_id, parent.organization_id, parent.project_id, p_parent, null, p_lease, 'held',
      least(parent.remaining_nano, p_wanted), least(parent.remaining_nano, p_wanted), p_at)
    returning h.amount_nano, h.organization_id, h.project_id;
end $$;
create function hold_extend(p_id text, p_wanted numeric) returns table (moved_nano numeric) language plpgsql as $$
declare part holds; parent holds; moved numeric := 0;
begin
  select * into part from holds where id = p_id and state = 'held' and parent_id is not null for update;
  if part.id is not null then
    select * into parent from holds where id = part.parent_id and state = 'held' for update;
    moved := greatest(0, least(coalesce(parent.remaining_nano, 0), p_wanted));
  end if;
  if moved > 0 then
    update holds set remaining_nano = remaining_nano - moved where id = parent.id;
    update holds set remaining_nano = remaining_nano + moved, amount_nano = amount_nano + moved where id = p_id;
  end if;
  return query select moved;
end $$;
create function hold_settle(p_id text, p_as text, p_at timestamptz) returns table (rest_nano numeric) language plpgsql as $$
declare hold holds; root text; above text;
begin
  select * into hold from holds where id = p_id and state = 'held' for update;
  if hold.id is null then return query select null::numeric; return; end if;
  update holds set state = p_as, remaining_nano = 0, ended_at = p_at where id = p_id;
  if hold.remaining_nano > 0 then
    update holds set remaining_nano = remaining_nano + hold.remaining_nano where id = hold.parent_id and state = 'held';
    if not found then
      update ledger_accounts set available_nano = available_nano + hold.remaining_nano, held_nano = held_nano - hold.remaining_nano
        where id = 'credit:' || hold.organization_id;
      root := hold.id;
      above := hold.parent_id;
      while above is not null loop
        root := above;
        select h.parent_id into above from holds h where h.id = root;
      end loop;
      perform quota_give_back(root, hold.remaining_nano, p_at);
    end if;
  end if;
  if hold.lease_id is null then perform quota_release(p_id, array['jobs-queued']); end if;
  return query select hold.remaining_nano;
end $$;
create function ledger_post(p_id text, p_key text, p_kind text, p_organization text, p_reference text, p_reverses text, p_at timestamptz, p_entries jsonb)
returns table (outcome text, short_account text) language plpgsql as $$
declare e record;
begin
  insert into ledger_transactions (id, idempotency_key, kind, organization_id, reference, reverses, at)
    values (p_id, p_key, p_kind, p_organization, p_reference, p_reverses, p_at) on conflict (idempotency_key) do nothing;
  if not found then return query select 'known', null::text; return; end if;
  insert into ledger_entries (transaction_id, n, account_id, organization_id, amount_nano)
    select p_id, x.ord - 1, x.value ->> 'accountId',
      case when x.value ->> 'accountId' = 'credit:' || p_organization then p_organization end, (x.value ->> 'amountNano')::numeric
    from jsonb_array_elements(p_entries) with ordinality as x (value, ord);
  for e in
    select x.value ->> 'accountId' as account, (x.value ->> 'amountNano')::numeric as amount, coalesce(x.value ->> 'from', '') = 'held' as held
    from jsonb_array_elements(p_entries) as x (value) order by (x.value ->> 'accountId') collate "C"
  loop
    update ledger_accounts set balance_nano = balance_nano + e.amount,
        available_nano = available_nano + case when e.held then 0 else e.amount end,
        held_nano = held_nano + case when e.held then e.amount else 0 end
      where id = e.account
        and (e.account not like 'credit:%' or e.amount >= 0 or case when e.held then held_nano else available_nano end >= -e.amount);
    if not found then return query select 'short', e.account; return; end if;
  end loop;
  return query select 'posted', null::text;
end $$;
create function meter_time(p_id text, p_key text, p_organization text, p_reference text, p_provider text, p_hold text, p_settle boolean,
  p_at timestamptz, p_pieces jsonb)
returns table (charged_nano numeric) language plpgsql as $$
declare wanted numeric; cost numeric; charged numeric := 0; posted record;
begin
  select coalesce(sum((x ->> 'amountNano')::numeric) filter (where x ->> 'side' = 'charge'), 0),
      coalesce(sum((x ->> 'amountNano')::numeric) filter (where x ->> 'side' = 'cost'), 0)
    into wanted, cost from jsonb_array_elements(p_pieces) as x;
  if p_hold is not null and wanted > 0 then
    select least(remaining_nano, wanted) into charged from holds where id = p_hold and state = 'held' for update;
    charged := coalesce(charged, 0);
    if charged > 0 then update holds set remaining_nano = remaining_nano - charged where id = p_hold; end if;
  end if;
  select * into posted from ledger_post(p_id, p_key, 'usage', p_organization, p_reference, null, p_at,
    (select coalesce(jsonb_agg(e.entry order by e.n), '[]') from (values
      (0, charged, jsonb_build_object('accountId', 'credit:' || p_organization, 'amountNano', -charged, 'from', 'held')),
      (1, cost, jsonb_build_object('accountId', 'payable:' || p_provider, 'amountNano', cost)),
      (2, wanted - cost, jsonb_build_object('accountId', 'revenue:berth', 'amountNano', wanted - cost)),
      (3, charged - wanted, jsonb_build_object('accountId', 'exposure:berth', 'amountNano', charged - wanted))
    ) as e (n, amount, entry) where e.amount <> 0));
  if posted.outcome = 'known' then return query select null::numeric; return; end if;
  if posted.outcome = 'short' then
    raise exception 'account % does not exist or has too little', posted.short_account using errcode = 'check_violation';
  end if;
  -- The record says what the tenant really pays; the newest time carries what the hold did not cover.
  insert into usage_records (id, key, organization_id, project_id, lease_id, job_id, endpoint_id, provider_id, provider_class, meter, side,
      resource, model, sku, source, from_at, to_at, period_hour, period_month, quantity, unit, unit_price_nano, amount_nano, transaction_id, created_at)
    select x."id", x."key", p_organization, x."projectId", x."leaseId", x."jobId", x."endpointId", p_provider, x."providerClass", x."meter", x."side",
      x."resource", x."model", x."sku", x."source", x."fromAt", x."toAt", x."periodHour", x."periodMonth", x."quantity", x."unit", x."unitPriceNano",
      case x."side" when 'cost' then x."amountNano" else greatest(0, least(x."amountNano", charged - coalesce(sum(x."amountNano") over earlier, 0))) end,
      p_id, x."createdAt"
    from jsonb_to_recordset(p_pieces) as x ("id" text, "key" text, "projectId" text, "leaseId" text, "jobId" text, "endpointId" text,
      "providerClass" text, "meter" text, "side" text, "resource" text, "model" text, "sku" text, "source" text, "fromAt" timestamptz,
      "toAt" timestamptz, "periodHour" timestamptz, "periodMonth" timestamptz, "quantity" numeric, "unit" text, "unitPriceNano" numeric,
      "amountNano" numeric, "createdAt" timestamptz)
    window earlier as (partition by x."side" order by x."fromAt" rows between unbounded preceding and 1 preceding);
  if p_settle then perform hold_settle(p_hold, 'settled', p_at); end if;
  return query select charged;
end $$;
`;
