import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What providers are paid: terms, statements, holdbacks, disputes, payouts and their way through the processor. */
export class AddPayouts1764500000000 implements MigrationInterface {
  readonly name = 'AddPayouts1764500000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(FIXED);
    await runner.query(SECURITY);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop table payout_reversals, payouts, payout_accounts, payout_disputes, payout_holdbacks, payout_movements,
        payout_statement_lines, payout_statements, payout_terms;
      drop function payout_movement_fixed();
      drop function payout_statement_adds_up();
      drop index usage_records_cost_of_provider;
    `);
  }
}

/** Columns of every row that drives one external effect. */
const EFFECT = `
  id text primary key,
  organization_id text not null references organizations (id),
  version integer not null,
  wake_at timestamptz,
  attempt integer not null check (attempt > 0),
  key_at timestamptz,
  failures integer not null check (failures >= 0),
  spent boolean not null,
  processor_id text,
  code text,
  message text,
  created_at timestamptz not null,
`;

const OF_PROVIDER = `
  organization_id text not null references organizations (id),
  provider_id text not null references providers (id),
`;

const KINDS = `('accrual', 'adjustment', 'holdback', 'release', 'dispute', 'dispute-dismissed', 'payout', 'payout-canceled', 'payout-reversed')`;

const TABLES = `
create index usage_records_cost_of_provider on usage_records (provider_id, period_month) where side = 'cost';
create table payout_terms (
  provider_id text primary key references providers (id),
  organization_id text not null references organizations (id),
  holdback_bps integer not null check (holdback_bps between 0 and 10000),
  holdback_days integer not null check (holdback_days between 0 and 365),
  minimum_cents bigint not null check (minimum_cents >= 1),
  auto_dispute boolean not null,
  auto_pay boolean not null,
  method text not null check (method in ('manual', 'transfer')),
  updated_at timestamptz not null
);
create table payout_statements (
  id text primary key,
  ${OF_PROVIDER}
  provider_name text not null,
  period_start timestamptz not null,
  period_end timestamptz not null check (period_end > period_start),
  number text not null unique,
  issued_at timestamptz not null,
  opening_nano numeric(38, 0) not null,
  closing_nano numeric(38, 0) not null,
  opening_cents numeric(38, 0) not null,
  closing_cents numeric(38, 0) not null,
  accrued_nano numeric(38, 0) not null,
  payout_cents bigint not null check (payout_cents >= 0),
  held_back_nano numeric(38, 0) not null check (held_back_nano >= 0),
  disputed_nano numeric(38, 0) not null check (disputed_nano >= 0),
  payee jsonb not null,
  payer jsonb not null,
  transaction_id text references ledger_transactions (id),
  unique (provider_id, period_start)
);
create index on payout_statements (organization_id, period_start, id);
create table payout_statement_lines (
  statement_id text not null references payout_statements (id),
  n integer not null,
  organization_id text not null,
  provider_id text not null,
  kind text not null check (kind in ${KINDS}),
  day_start timestamptz not null,
  lease_id text,
  sku text,
  resource text,
  meter text,
  unit text,
  quantity numeric(38, 0),
  reference text,
  note text not null,
  amount_nano numeric(38, 0) not null,
  cents numeric(38, 0) not null,
  primary key (statement_id, n)
);
create index on payout_statement_lines (provider_id, day_start) where kind in ('accrual', 'adjustment');
create table payout_movements (
  id text primary key,
  ${OF_PROVIDER}
  kind text not null check (kind in ${KINDS}),
  amount_nano numeric(38, 0) not null check (amount_nano <> 0),
  reference text not null,
  note text not null,
  statement_id text references payout_statements (id),
  transaction_id text not null references ledger_transactions (id),
  at timestamptz not null,
  unique (transaction_id, kind)
);
create index on payout_movements (provider_id) where statement_id is null;
create table payout_holdbacks (
  id text primary key,
  ${OF_PROVIDER}
  statement_id text not null unique references payout_statements (id),
  amount_nano numeric(38, 0) not null check (amount_nano > 0),
  release_at timestamptz not null,
  released_at timestamptz
);
create index on payout_holdbacks (release_at) where released_at is null;
create table payout_disputes (
  id text primary key,
  ${OF_PROVIDER}
  version integer not null,
  wake_at timestamptz,
  state text not null check (state in ('noticed', 'open', 'upheld', 'dismissed')),
  reason text not null check (reason in ('failed-probe', 'sla-breach', 'other')),
  note text not null,
  lease_id text,
  amount_nano numeric(38, 0) not null check (amount_nano > 0),
  source text not null unique,
  resolution text,
  created_at timestamptz not null,
  opened_at timestamptz,
  resolved_at timestamptz,
  check ((state in ('upheld', 'dismissed')) = (resolved_at is not null))
);
create index on payout_disputes (wake_at) where wake_at is not null;
create index on payout_disputes (organization_id, id);
create table payout_accounts (${EFFECT}
  state text not null check (state in ('intended', 'calling', 'unknown', 'retrying', 'incomplete', 'ready', 'refused')),
  country text not null,
  email text,
  requirements text[] not null,
  unique (organization_id)
);
create index on payout_accounts (wake_at) where wake_at is not null;
create index on payout_accounts (processor_id);
create table payouts (${EFFECT}
  state text not null check (state in
    ('proposed', 'awaiting', 'intended', 'calling', 'unknown', 'retrying', 'paid', 'failed', 'reversed', 'canceled')),
  provider_id text not null references providers (id),
  statement_id text not null unique references payout_statements (id),
  amount_cents bigint not null check (amount_cents > 0),
  method text not null check (method in ('manual', 'transfer')),
  account_id text,
  reference text,
  proposed_at timestamptz not null,
  paid_at timestamptz,
  reversed_at timestamptz,
  check ((state in ('paid', 'reversed')) = (paid_at is not null)),
  check ((state = 'reversed') = (reversed_at is not null))
);
create index on payouts (wake_at) where wake_at is not null;
create index on payouts (organization_id, id);
create index on payouts (processor_id);
create table payout_reversals (${EFFECT}
  state text not null check (state in ('intended', 'calling', 'unknown', 'retrying', 'done', 'failed')),
  payout_id text not null references payouts (id),
  transfer_id text not null,
  amount_cents bigint not null check (amount_cents > 0),
  reason text not null,
  slot text unique
);
create index on payout_reversals (wake_at) where wake_at is not null;
create index on payout_reversals (payout_id);
`;

const FIXED = `
create function payout_movement_fixed() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' or old.statement_id is not null or to_jsonb(new) - 'statement_id' is distinct from to_jsonb(old) - 'statement_id' then
    raise exception 'movement % does not change', old.id using errcode = 'restrict_violation';
  end if;
  return new;
end $$;
create trigger fixed before update or delete on payout_movements for each row execute function payout_movement_fixed();
create function payout_statement_adds_up() returns trigger language plpgsql as $$
declare nano numeric; cents numeric;
begin
  select coalesce(sum(l.amount_nano), 0), coalesce(sum(l.cents), 0) into nano, cents from payout_statement_lines l where l.statement_id = new.id;
  if (nano, cents) is distinct from (new.closing_nano - new.opening_nano, new.closing_cents - new.opening_cents) then
    raise exception 'the lines of statement % do not add up to it', new.number using errcode = 'check_violation';
  end if;
  return null;
end $$;
create constraint trigger adds_up after insert on payout_statements deferrable initially deferred
  for each row execute function payout_statement_adds_up();
create trigger append_only before update or delete on payout_statements for each row execute function berth_refuse_change();
create trigger append_only before update or delete on payout_statement_lines for each row execute function berth_refuse_change();
create trigger never_emptied before truncate on payout_statements for each statement execute function berth_refuse_change();
create trigger never_emptied before truncate on payout_statement_lines for each statement execute function berth_refuse_change();
create trigger never_emptied before truncate on payout_movements for each statement execute function berth_refuse_change();
`;

const SECURITY = `
do $$
declare t text;
begin
  foreach t in array array['payout_terms', 'payout_statements', 'payout_statement_lines', 'payout_movements', 'payout_holdbacks',
      'payout_disputes', 'payout_accounts', 'payouts', 'payout_reversals'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to berth_app using (organization_id = nullif(current_setting(''berth.organization'', true), ''''))', t);
    execute format('create policy worker on %I to berth_worker using (true) with check (true)', t);
    execute format('grant select on %I to berth_app', t);
    execute format('grant select, insert on %I to berth_worker', t);
  end loop;
end $$;
grant update on payout_terms, payout_movements, payout_holdbacks, payout_disputes, payout_accounts, payouts, payout_reversals to berth_worker;
`;
