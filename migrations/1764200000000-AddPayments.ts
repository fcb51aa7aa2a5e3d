import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Cards, payments, refunds and what the payment processor told. Requests read; only workers change. */
export class AddPayments1764200000000 implements MigrationInterface {
  readonly name = 'AddPayments1764200000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(SECURITY);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table payment_events, payment_setups, refunds, payments, payment_customers');
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

const TABLES = `
create table payment_customers (
  organization_id text primary key references organizations (id),
  customer_id text unique,
  attempt integer not null check (attempt > 0),
  key_at timestamptz,
  method_id text,
  method_brand text,
  method_last4 text,
  method_exp_month integer,
  method_exp_year integer,
  recharge_on boolean not null,
  recharge_below_nano numeric(38, 0) not null check (recharge_below_nano >= 0),
  recharge_cents bigint not null check (recharge_cents >= 0),
  recharge_month_cents bigint not null check (recharge_month_cents >= 0),
  recharge_declines integer not null check (recharge_declines >= 0),
  recharge_not_before timestamptz,
  recharge_off_reason text,
  created_at timestamptz not null
);
create index on payment_customers (organization_id) where recharge_on;
create table payments (${EFFECT}
  kind text not null check (kind in ('top-up', 'auto-recharge', 'invoice')),
  state text not null check (state in ('intended', 'calling', 'unknown', 'retrying', 'processing', 'settled', 'declined', 'refused', 'disputed',
    'charged_back')),
  amount_cents bigint not null check (amount_cents > 0),
  captured_cents bigint not null check (captured_cents >= 0),
  refunded_cents bigint not null check (refunded_cents >= 0),
  fee_cents bigint,
  invoice_id text references invoices (id),
  pushed_id text,
  customer_id text not null,
  method_id text not null,
  slot text,
  settled_at timestamptz,
  unique (organization_id, slot),
  unique (processor_id),
  check ((kind = 'invoice') = (invoice_id is not null)),
  check ((state in ('settled', 'disputed', 'charged_back')) = (settled_at is not null))
);
create index on payments (wake_at) where wake_at is not null;
create index on payments (organization_id, id);
create index on payments (invoice_id) where invoice_id is not null;
create index on payments (pushed_id) where pushed_id is not null;
create table refunds (${EFFECT}
  state text not null check (state in ('intended', 'calling', 'unknown', 'retrying', 'processing', 'settled', 'failed')),
  payment_id text not null references payments (id),
  processor_payment_id text not null,
  credit_note_id text references credit_notes (id),
  amount_cents bigint not null check (amount_cents > 0),
  elsewhere boolean not null,
  unique (processor_id)
);
create index on refunds (wake_at) where wake_at is not null;
create index on refunds (payment_id);
create unique index on refunds (credit_note_id) where state <> 'failed';
create table payment_setups (${EFFECT}
  state text not null check (state in ('intended', 'calling', 'unknown', 'retrying', 'open', 'complete', 'expired', 'refused')),
  success_url text not null,
  cancel_url text not null,
  url text
);
create index on payment_setups (wake_at) where wake_at is not null;
create index on payment_setups (organization_id, id);
create index on payment_setups (processor_id);
create table payment_events (
  id text primary key,
  type text not null,
  object_id text,
  reference text,
  payment_id text,
  created_at timestamptz not null,
  received_at timestamptz not null,
  woke text
);
create index on payment_events (received_at);
create index on payment_events (payment_id) where woke is null;
`;

const SECURITY = `
do $$
declare t text;
begin
  foreach t in array array['payment_customers','payments','refunds','payment_setups'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to berth_app using (organization_id = nullif(current_setting(''berth.organization'', true), ''''))', t);
    execute format('create policy worker on %I to berth_worker using (true) with check (true)', t);
  end loop;
  alter table payment_events enable row level security;
  alter table payment_events force row level security;
  create policy worker on payment_events to berth_worker using (true) with check (true);
end $$;
grant select on payment_customers, payments, refunds, payment_setups to berth_app;
grant select, insert, update on payment_customers, payments, refunds, payment_setups, payment_events to berth_worker;
grant delete on payment_setups, payment_events to berth_worker;
`;
