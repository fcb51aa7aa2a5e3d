import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Every table of the broker with its constraints, triggers and row-level security. Money is numeric(38,0) nano-dollars. */
export class CreateBroker1763700000000 implements MigrationInterface {
  readonly name = 'CreateBroker1763700000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(IDENTITY);
    await runner.query(MONEY);
    await runner.query(MARKET);
    await runner.query(COMPUTE);
    await runner.query(WORK);
    await runner.query(SECURITY);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop table job_logs, shards, artifacts, jobs, events, lease_attempts, leases, slots, agents, hosts, providers,
        failure_memory, placements, offers, invoices, usage_records, holds, ledger_entries, ledger_transactions,
        ledger_accounts, outbox, idempotency_keys, api_keys, projects, organizations, installs cascade;
      drop function berth_refuse_change() cascade;
      drop function berth_entries_balance() cascade;
      drop function berth_sees(text, text) cascade;
    `);
  }
}

const IDENTITY = `
create table installs (
  id text primary key,
  singleton boolean not null default true unique check (singleton),
  created_at timestamptz not null
);
create table organizations (
  id text primary key,
  name text not null,
  kind text not null check (kind in ('tenant', 'provider', 'platform')),
  state text not null check (state in ('active', 'suspended')),
  created_at timestamptz not null
);
create table projects (
  id text primary key,
  organization_id text not null references organizations (id),
  name text not null,
  created_at timestamptz not null,
  unique (organization_id, name),
  unique (organization_id, id)
);
create table api_keys (
  id text primary key,
  organization_id text not null references organizations (id),
  project_id text,
  name text not null,
  role text not null check (role in ('member', 'admin', 'provider-operator', 'platform-admin')),
  prefix text not null,
  hash text not null unique,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz,
  foreign key (organization_id, project_id) references projects (organization_id, id)
);
create index on api_keys (organization_id, id);
create table idempotency_keys (
  organization_id text not null references organizations (id),
  key text not null,
  route text not null,
  body_hash text not null,
  status integer,
  response jsonb,
  created_at timestamptz not null,
  primary key (organization_id, key)
);
create index on idempotency_keys (created_at);
create table outbox (
  id text primary key,
  organization_id text not null,
  topic text not null,
  payload jsonb not null,
  created_at timestamptz not null,
  attempts integer not null default 0,
  next_at timestamptz not null,
  done_at timestamptz
);
create index on outbox (next_at) where done_at is null;
`;

const MONEY = `
create table ledger_accounts (
  id text primary key,
  organization_id text,
  kind text not null,
  balance_nano numeric(38, 0) not null,
  -- What may be held or spent, and what open holds have set aside; together the balance.
  available_nano numeric(38, 0) not null,
  held_nano numeric(38, 0) not null check (held_nano >= 0),
  -- Tenant credit must never be oversold.
  bounded boolean not null,
  check (balance_nano = available_nano + held_nano),
  check (not bounded or available_nano >= 0)
);
create index on ledger_accounts (organization_id);
create table ledger_transactions (
  id text primary key,
  idempotency_key text not null unique,
  kind text not null,
  organization_id text,
  reference text not null,
  reverses text references ledger_transactions (id),
  at timestamptz not null
);
create index on ledger_transactions (organization_id, id);
create table ledger_entries (
  transaction_id text not null references ledger_transactions (id),
  n integer not null,
  account_id text not null references ledger_accounts (id),
  organization_id text,
  amount_nano numeric(38, 0) not null,
  primary key (transaction_id, n)
);
create index on ledger_entries (account_id, transaction_id);
create table holds (
  id text primary key,
  organization_id text not null references organizations (id),
  project_id text not null,
  parent_id text references holds (id),
  job_id text,
  lease_id text,
  state text not null check (state in ('held', 'settled', 'released', 'expired')),
  amount_nano numeric(38, 0) not null check (amount_nano >= 0),
  remaining_nano numeric(38, 0) not null check (remaining_nano >= 0),
  created_at timestamptz not null,
  ended_at timestamptz
);
create index on holds (organization_id) where state = 'held';
create index on holds (parent_id);
create table usage_records (
  id text not null,
  -- What makes this quantity once-only: lease, meter, side and start for time; shard and meter for tokens; its own id for an event.
  key text not null,
  organization_id text not null,
  project_id text not null,
  lease_id text,
  job_id text,
  endpoint_id text,
  provider_id text,
  provider_class text,
  meter text not null,
  side text not null check (side in ('charge', 'cost')),
  resource text not null,
  -- The accelerator, or the language model.
  model text,
  sku text,
  source text not null,
  from_at timestamptz not null,
  to_at timestamptz not null,
  -- Where the last millisecond lies; everything with one key lies in one month, so that the key is once-only over all partitions.
  period_hour timestamptz not null,
  period_month timestamptz not null,
  quantity numeric(38, 0) not null check (quantity >= 0),
  unit text not null,
  unit_price_nano numeric(38, 0) not null,
  amount_nano numeric(38, 0) not null,
  transaction_id text,
  created_at timestamptz not null,
  check (to_at >= from_at),
  check (period_hour = date_trunc('hour', to_at - interval '1 millisecond', 'UTC') and period_month = date_trunc('month', period_hour, 'UTC')),
  primary key (key, period_month)
) partition by range (period_month);
create index on usage_records (organization_id, to_at);
create index on usage_records (job_id) where job_id is not null;
create table invoices (
  id text primary key,
  organization_id text not null references organizations (id),
  period_start timestamptz not null,
  period_end timestamptz not null,
  state text not null check (state in ('draft', 'issuing', 'issuing_failed', 'open', 'paid', 'past_due', 'uncollectible', 'void')),
  number text,
  created_at timestamptz not null,
  unique (organization_id, period_start)
);
create function berth_refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger append_only before update or delete on ledger_transactions for each row execute function berth_refuse_change();
create trigger never_emptied before truncate on ledger_transactions for each statement execute function berth_refuse_change();
create trigger append_only before update or delete on ledger_entries for each row execute function berth_refuse_change();
create trigger never_emptied before truncate on ledger_entries for each statement execute function berth_refuse_change();
create trigger append_only before update or delete on usage_records for each row execute function berth_refuse_change();
create trigger never_emptied before truncate on usage_records for each statement execute function berth_refuse_change();
create function berth_entries_balance() returns trigger language plpgsql as $$
declare total numeric;
begin
  select coalesce(sum(amount_nano), 0) into total from ledger_entries where transaction_id = new.transaction_id;
  if total <> 0 then
    raise exception 'ledger transaction % does not sum to zero (%)', new.transaction_id, total using errcode = 'check_violation';
  end if;
  return null;
end $$;
create constraint trigger zero_sum after insert on ledger_entries deferrable initially deferred
  for each row execute function berth_entries_balance();
`;

const MARKET = `
create table offers (
  id text primary key,
  provider_id text not null,
  status text not null check (status in ('listed', 'rentable')),
  accelerator text not null,
  accelerator_vendor text not null,
  count double precision not null,
  region text not null,
  pricing text not null,
  price_per_hour numeric(38, 0) not null,
  price_per_gpu_hour numeric(38, 0),
  source text not null,
  observed_at timestamptz not null,
  doubtful boolean not null,
  body jsonb not null
);
create index on offers (accelerator, price_per_hour, id);
create index on offers (status) where status = 'rentable';
create index on offers (provider_id);
create table placements (
  id text primary key,
  organization_id text not null,
  project_id text not null,
  job_id text,
  decision jsonb not null,
  created_at timestamptz not null
);
create index on placements (organization_id, project_id, id);
create table failure_memory (
  scope text primary key,
  kind text not null,
  strikes integer not null,
  blocked_until timestamptz not null,
  last_at timestamptz not null,
  message text not null
);
`;

const COMPUTE = `
create table providers (
  id text primary key,
  organization_id text not null references organizations (id),
  name text not null,
  kind text not null,
  adapter text not null,
  state text not null check (state in ('pending', 'active', 'paused', 'suspended')),
  margin_bps integer not null check (margin_bps between 0 and 100000),
  settings jsonb not null,
  created_at timestamptz not null,
  unique (organization_id, name)
);
create table agents (
  id text primary key,
  kind text not null check (kind in ('host', 'lease')),
  organization_id text not null,
  host_id text,
  lease_id text,
  state text not null check (state in ('invited', 'enrolled', 'gone')),
  token_hash text unique,
  token_expires_at timestamptz,
  credential_hash text unique,
  last_seq bigint not null,
  last_seen_at timestamptz,
  facts jsonb,
  telemetry jsonb,
  created_at timestamptz not null
);
create index on agents (host_id);
create index on agents (lease_id);
create table hosts (
  id text primary key,
  organization_id text not null references organizations (id),
  provider_id text not null references providers (id),
  name text not null,
  state text not null check (state in ('enrolling', 'ready', 'cordoned', 'lost')),
  region text not null,
  country text,
  slot_count integer not null check (slot_count between 1 and 1024),
  price_per_slot_hour numeric(38, 0) not null check (price_per_slot_hour >= 0),
  agent_id text references agents (id),
  created_at timestamptz not null,
  version integer not null,
  wake_at timestamptz,
  unique (organization_id, name)
);
create index on hosts (wake_at) where wake_at is not null;
create table leases (
  id text primary key,
  organization_id text not null,
  project_id text not null,
  provider_id text not null,
  offer_id text not null,
  offer jsonb not null,
  placement_id text,
  job_id text,
  hold_id text,
  agent_id text,
  state text not null,
  want text not null check (want in ('run', 'release')),
  end_reason text,
  message text,
  vendor_id text,
  attempt_n integer not null,
  cost_per_hour numeric(38, 0) not null,
  charge_per_hour numeric(38, 0) not null,
  requested_at timestamptz not null,
  booted_at timestamptz,
  accepted_at timestamptz,
  idle_since timestamptz,
  keep_until timestamptz,
  drain_until timestamptz,
  ended_at timestamptz,
  charged_through timestamptz,
  cost_through timestamptz,
  state_since timestamptz not null,
  failures integer not null,
  version integer not null,
  wake_at timestamptz,
  check ((state = 'ended') = (ended_at is not null)),
  check ((state = 'ended') = (end_reason is not null))
);
create index on leases (wake_at) where wake_at is not null;
create index on leases (organization_id, project_id, id);
create index on leases (project_id) where state = 'ready' and job_id is null;
create index on leases (agent_id) where state <> 'ended';
create index on leases (vendor_id);
create table slots (
  host_id text not null references hosts (id),
  n integer not null,
  gpu_index integer,
  lease_id text not null,
  attempt_id text not null,
  claimed_at timestamptz not null,
  primary key (host_id, n),
  unique (host_id, gpu_index)
);
create index on slots (lease_id);
create table lease_attempts (
  id text primary key,
  organization_id text not null,
  project_id text not null,
  lease_id text not null references leases (id),
  n integer not null,
  provider_id text not null,
  state text not null check (state in ('calling', 'created', 'failed', 'unknown', 'superseded', 'closed')),
  idempotency_key text not null,
  intent_at timestamptz not null,
  vendor_id text,
  error_kind text,
  message text,
  looks integer not null,
  watch_until timestamptz,
  unique (lease_id, n)
);
create index on lease_attempts (watch_until) where state = 'superseded';
create table events (
  subject_id text not null,
  n integer not null,
  organization_id text not null,
  project_id text not null,
  type text not null,
  from_state text,
  to_state text,
  message text not null,
  at timestamptz not null,
  primary key (subject_id, n)
);
`;

const WORK = `
create table artifacts (
  id text primary key,
  organization_id text not null,
  project_id text not null,
  name text not null,
  media_type text not null,
  bytes bigint not null,
  sha256 text not null,
  object_key text not null,
  created_at timestamptz not null
);
create index on artifacts (organization_id, project_id, id);
create table jobs (
  id text primary key,
  organization_id text not null,
  project_id text not null,
  name text not null,
  kind text not null check (kind in ('command', 'batch-inference')),
  state text not null,
  reason text,
  spec jsonb not null,
  workload jsonb not null,
  labels jsonb not null,
  hold_id text not null,
  cap_nano numeric(38, 0) not null,
  charged_nano numeric(38, 0) not null,
  placement_id text,
  lease_id text,
  tried_offers text[] not null,
  lease_tries integer not null,
  max_attempts integer not null,
  shards_total integer not null,
  shards_done integer not null,
  shards_failed integer not null,
  lines_total integer not null,
  lines_ok integer not null,
  lines_failed integer not null,
  cancel_requested_at timestamptz,
  created_at timestamptz not null,
  started_at timestamptz,
  ended_at timestamptz,
  timeout_at timestamptz not null,
  version integer not null,
  wake_at timestamptz,
  check (shards_done + shards_failed <= shards_total)
);
create index on jobs (wake_at) where wake_at is not null;
create index on jobs (organization_id, project_id, id);
create table shards (
  id text primary key,
  organization_id text not null,
  project_id text not null,
  job_id text not null references jobs (id),
  n integer not null,
  state text not null check (state in ('pending', 'assigned', 'done', 'failed')),
  line_from integer not null,
  line_to integer not null,
  byte_from bigint not null,
  byte_to bigint not null,
  fence integer not null,
  failures integer not null,
  lease_id text,
  assigned_at timestamptz,
  result_key text,
  result_sha256 text,
  lines_ok integer not null,
  lines_failed integer not null,
  exit_code integer,
  message text,
  unique (job_id, n)
);
create index on shards (lease_id) where state = 'assigned';
create index on shards (job_id, state, n);
create table job_logs (
  work_id text not null,
  fence integer not null,
  n integer not null,
  organization_id text not null,
  project_id text not null,
  job_id text not null,
  at timestamptz not null,
  stream text not null,
  text text not null,
  primary key (work_id, fence, n)
);
create index on job_logs (job_id, at, work_id, fence, n);
`;

/**
 * Row-level security. `berth_app` serves requests and sees only what the transaction's settings let through; with no
 * settings it sees nothing. `berth_worker` drives the reconcilers and sees all. Neither owns anything.
 */
const SECURITY = `
create function berth_sees(row_organization text, row_project text) returns boolean language sql stable parallel safe as $$
  select row_organization = nullif(current_setting('berth.organization', true), '')
     and (current_setting('berth.projects', true) = '*'
          or (row_project is not null and row_project = any (string_to_array(current_setting('berth.projects', true), ','))))
$$;
do $$
declare t text;
begin
  foreach t in array array['placements','leases','lease_attempts','events','artifacts','jobs','shards','job_logs','holds','usage_records','api_keys'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to berth_app using (berth_sees(organization_id, project_id)) with check (berth_sees(organization_id, project_id))', t);
    execute format('create policy worker on %I to berth_worker using (true) with check (true)', t);
  end loop;
  foreach t in array array['ledger_accounts','ledger_transactions','ledger_entries','invoices','idempotency_keys','outbox','providers','hosts','agents'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to berth_app using (organization_id = nullif(current_setting(''berth.organization'', true), '''')) with check (organization_id = nullif(current_setting(''berth.organization'', true), ''''))', t);
    execute format('create policy worker on %I to berth_worker using (true) with check (true)', t);
  end loop;
  execute 'alter table organizations enable row level security';
  execute 'alter table organizations force row level security';
  execute 'create policy tenant on organizations to berth_app using (id = nullif(current_setting(''berth.organization'', true), ''''))';
  execute 'create policy worker on organizations to berth_worker using (true) with check (true)';
  execute 'alter table projects enable row level security';
  execute 'alter table projects force row level security';
  execute 'create policy tenant on projects to berth_app using (berth_sees(organization_id, id)) with check (berth_sees(organization_id, id))';
  execute 'create policy worker on projects to berth_worker using (true) with check (true)';
  execute 'alter table slots enable row level security';
  execute 'alter table slots force row level security';
  execute 'create policy worker on slots to berth_worker using (true) with check (true)';
end $$;
-- What a request may do. Leases, money and shards are moved by workers only.
grant select on organizations, projects, api_keys, idempotency_keys, outbox, ledger_accounts, ledger_transactions, ledger_entries,
  holds, usage_records, invoices, offers, placements, providers, hosts, agents, leases, lease_attempts, events, artifacts, jobs, shards, job_logs to berth_app;
grant insert on projects, api_keys, idempotency_keys, placements, events, artifacts, jobs, shards, holds, providers, hosts, agents, outbox to berth_app;
grant update on api_keys, projects, idempotency_keys, jobs, holds, hosts, providers, agents to berth_app;
-- A request may set credit aside; what the balance is, only postings of a worker say.
grant update (available_nano, held_nano) on ledger_accounts to berth_app;
grant delete on idempotency_keys to berth_app;
grant select, insert, update, delete on all tables in schema public to berth_worker;
revoke update, delete on ledger_transactions, ledger_entries, usage_records from berth_worker;
-- The history of the schema is the owner's alone.
revoke all on berth_migrations from berth_worker;
grant select on installs to berth_app;
`;
