import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Issued invoices with their lines, numbers, payments, credit notes, terms and pauses. What was issued never changes. */
export class AddInvoicing1764100000001 implements MigrationInterface {
  readonly name = 'AddInvoicing1764100000001';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(FIXED);
    await runner.query(SECURITY);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop trigger fixed on invoices;
      drop trigger never_emptied on invoices;
      drop table payment_pauses, credit_note_lines, credit_notes, invoice_payments, billing_profiles, document_numbers, invoice_lines;
      drop function invoice_fixed();
      drop function invoice_line_fits();
      drop function credit_note_fixed();
      drop function credit_note_fits();
      alter table invoices drop constraint invoices_number_key, drop constraint invoices_issued, drop constraint invoices_amounts;
      drop index invoices_wake_at_idx;
      drop index invoices_past_due;
      alter table invoices drop column version, drop column wake_at, drop column frozen_at, drop column issued_at, drop column due_at,
        drop column paid_at, drop column usage_nano, drop column usage_cents, drop column tax_cents, drop column total_cents,
        drop column from_credit_cents, drop column due_cents, drop column paid_cents, drop column credited_cents, drop column tax,
        drop column buyer, drop column seller, drop column transaction_id, drop column message, drop column failures,
        drop column dunned, drop column filed_at;
    `);
  }
}

const TABLES = `
alter table invoices
  add column version integer not null default 1,
  add column wake_at timestamptz,
  add column frozen_at timestamptz,
  add column issued_at timestamptz,
  add column due_at timestamptz,
  add column paid_at timestamptz,
  add column usage_nano numeric(38, 0) not null default 0,
  add column usage_cents numeric(38, 0) not null default 0,
  add column tax_cents numeric(38, 0) not null default 0,
  add column total_cents numeric(38, 0) not null default 0,
  add column from_credit_cents numeric(38, 0) not null default 0,
  add column due_cents numeric(38, 0) not null default 0,
  add column paid_cents numeric(38, 0) not null default 0 check (paid_cents >= 0),
  add column credited_cents numeric(38, 0) not null default 0 check (credited_cents >= 0),
  add column tax jsonb,
  add column buyer jsonb,
  add column seller jsonb,
  add column transaction_id text references ledger_transactions (id),
  add column message text,
  add column failures integer not null default 0,
  add column dunned integer not null default 0,
  add column filed_at timestamptz,
  add constraint invoices_number_key unique (number),
  add constraint invoices_issued check (
    case when state in ('draft', 'issuing', 'issuing_failed') then number is null
         when state = 'void' then true
         else number is not null and issued_at is not null and due_at is not null and frozen_at is not null end),
  add constraint invoices_amounts check (
    number is null or (total_cents = usage_cents + tax_cents and due_cents = total_cents - from_credit_cents
      and paid_cents + credited_cents <= due_cents));
create index invoices_wake_at_idx on invoices (wake_at) where wake_at is not null;
create index invoices_past_due on invoices (organization_id) where state = 'past_due';
create table invoice_lines (
  invoice_id text not null references invoices (id),
  n integer not null,
  organization_id text not null,
  period_start timestamptz not null,
  project_id text not null,
  project_name text not null,
  resource text not null,
  model text,
  provider_class text,
  meter text not null,
  unit text not null,
  quantity numeric(38, 0) not null,
  amount_nano numeric(38, 0) not null,
  cents numeric(38, 0) not null,
  primary key (invoice_id, n)
);
create index on invoice_lines (organization_id, period_start);
create table document_numbers (
  series text not null,
  year integer not null,
  last integer not null,
  primary key (series, year)
);
create table billing_profiles (
  organization_id text primary key references organizations (id),
  name text not null,
  address text[] not null,
  tax_id text,
  email text,
  tax_label text not null,
  tax_rate_bps integer not null check (tax_rate_bps between 0 and 10000),
  net_days integer check (net_days between 0 and 365),
  updated_at timestamptz not null
);
create table invoice_payments (
  id text primary key,
  invoice_id text not null references invoices (id),
  organization_id text not null,
  method text not null check (method in ('manual', 'processor')),
  reference text not null,
  -- Below zero: a bank has taken it back.
  cents numeric(38, 0) not null check (cents >= 0 or method = 'processor'),
  credit_cents numeric(38, 0) not null check (credit_cents >= 0),
  transaction_id text references ledger_transactions (id),
  at timestamptz not null,
  unique (invoice_id, reference)
);
create table credit_notes (
  id text primary key,
  organization_id text not null references organizations (id),
  invoice_id text not null references invoices (id),
  number text not null unique,
  reason text not null,
  issued_at timestamptz not null,
  usage_cents numeric(38, 0) not null check (usage_cents > 0),
  tax_cents numeric(38, 0) not null check (tax_cents >= 0),
  total_cents numeric(38, 0) not null check (total_cents = usage_cents + tax_cents),
  applied_cents numeric(38, 0) not null check (applied_cents >= 0),
  to_credit_cents numeric(38, 0) not null check (to_credit_cents >= 0),
  refund_cents numeric(38, 0) not null check (refund_cents >= 0),
  refund_state text not null check (refund_state in ('none', 'pending', 'done')),
  buyer jsonb not null,
  seller jsonb not null,
  transaction_id text references ledger_transactions (id),
  check (applied_cents + to_credit_cents + refund_cents = total_cents)
);
create index on credit_notes (invoice_id);
create index on credit_notes (organization_id, id);
create table credit_note_lines (
  credit_note_id text not null references credit_notes (id),
  n integer not null,
  organization_id text not null,
  invoice_id text not null,
  invoice_line_n integer not null,
  cents numeric(38, 0) not null check (cents > 0),
  primary key (credit_note_id, n),
  foreign key (invoice_id, invoice_line_n) references invoice_lines (invoice_id, n)
);
create index on credit_note_lines (invoice_id, invoice_line_n);
create table payment_pauses (
  organization_id text primary key references organizations (id),
  invoice_id text not null references invoices (id),
  level text not null check (level in ('pause', 'stop')),
  since timestamptz not null
);
`;

const FIXED = `
create function invoice_fixed() returns trigger language plpgsql as $$
declare nano numeric; cents numeric;
begin
  if tg_op = 'DELETE' then
    if old.number is not null or old.frozen_at is not null then
      raise exception 'invoice % is issued and cannot be removed', old.id using errcode = 'restrict_violation';
    end if;
    return old;
  end if;
  if old.frozen_at is not null and (new.organization_id, new.period_start, new.period_end, new.usage_nano, new.usage_cents, new.frozen_at)
      is distinct from (old.organization_id, old.period_start, old.period_end, old.usage_nano, old.usage_cents, old.frozen_at) then
    raise exception 'the lines of invoice % are fixed', old.id using errcode = 'restrict_violation';
  end if;
  if old.number is not null and (new.number, new.issued_at, new.due_at, new.tax_cents, new.total_cents, new.from_credit_cents, new.due_cents,
        new.tax, new.buyer, new.seller, new.transaction_id)
      is distinct from (old.number, old.issued_at, old.due_at, old.tax_cents, old.total_cents, old.from_credit_cents, old.due_cents,
        old.tax, old.buyer, old.seller, old.transaction_id) then
    raise exception 'invoice % is issued and does not change', old.id using errcode = 'restrict_violation';
  end if;
  if old.number is null and new.number is not null then
    select coalesce(sum(l.amount_nano), 0), coalesce(sum(l.cents), 0) into nano, cents from invoice_lines l where l.invoice_id = new.id;
    if (nano, cents) is distinct from (new.usage_nano, new.usage_cents) then
      raise exception 'the lines of invoice % do not add up to it', new.id using errcode = 'check_violation';
    end if;
  end if;
  return new;
end $$;
create trigger fixed before update or delete on invoices for each row execute function invoice_fixed();
create function invoice_line_fits() returns trigger language plpgsql as $$
begin
  if not exists (select 1 from invoices i where i.id = new.invoice_id and i.organization_id = new.organization_id and i.frozen_at is null) then
    raise exception 'the lines of invoice % are fixed', new.invoice_id using errcode = 'restrict_violation';
  end if;
  return new;
end $$;
create trigger fits before insert on invoice_lines for each row execute function invoice_line_fits();
create function credit_note_fixed() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' or to_jsonb(new) - 'refund_state' is distinct from to_jsonb(old) - 'refund_state' then
    raise exception 'credit note % does not change', old.number using errcode = 'restrict_violation';
  end if;
  return new;
end $$;
create trigger fixed before update or delete on credit_notes for each row execute function credit_note_fixed();
create function credit_note_fits() returns trigger language plpgsql as $$
declare taken numeric; most numeric;
begin
  select sum(c.cents) into taken from credit_note_lines c where c.invoice_id = new.invoice_id and c.invoice_line_n = new.invoice_line_n;
  select l.cents into most from invoice_lines l where l.invoice_id = new.invoice_id and l.n = new.invoice_line_n;
  if taken > most then
    raise exception 'more is credited of a line of invoice % than it has', new.invoice_id using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger fits after insert on credit_note_lines for each row execute function credit_note_fits();
create trigger append_only before update or delete on invoice_lines for each row execute function berth_refuse_change();
create trigger append_only before update or delete on invoice_payments for each row execute function berth_refuse_change();
create trigger append_only before update or delete on credit_note_lines for each row execute function berth_refuse_change();
create trigger never_emptied before truncate on invoice_lines for each statement execute function berth_refuse_change();
create trigger never_emptied before truncate on invoice_payments for each statement execute function berth_refuse_change();
create trigger never_emptied before truncate on credit_notes for each statement execute function berth_refuse_change();
create trigger never_emptied before truncate on credit_note_lines for each statement execute function berth_refuse_change();
create trigger never_emptied before truncate on invoices for each statement execute function berth_refuse_change();
`;

const SECURITY = `
do $$
declare t text;
begin
  foreach t in array array['invoice_lines', 'billing_profiles', 'invoice_payments', 'credit_notes', 'credit_note_lines', 'payment_pauses'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    if t = 'invoice_lines' then
      create policy tenant on invoice_lines to berth_app using (berth_sees(organization_id, project_id));
    else
      execute format('create policy tenant on %I to berth_app using (organization_id = nullif(current_setting(''berth.organization'', true), ''''))', t);
    end if;
    execute format('create policy worker on %I to berth_worker using (true) with check (true)', t);
    execute format('grant select on %I to berth_app', t);
  end loop;
end $$;
alter table document_numbers enable row level security;
alter table document_numbers force row level security;
create policy worker on document_numbers to berth_worker using (true) with check (true);
grant select, insert on invoice_lines, invoice_payments, credit_note_lines to berth_worker;
grant select, insert, update on credit_notes, billing_profiles, document_numbers to berth_worker;
grant select, insert, update, delete on payment_pauses to berth_worker;
`;
