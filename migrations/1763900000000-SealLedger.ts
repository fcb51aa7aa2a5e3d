import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The ledger that can be sealed: entries with their time and currency, reversals by reference, a queue of what is not sealed yet, the chain of
 * seals, totals by day. The broker's own accounts are moved by the sealer, in batches, so that no two postings wait for each other there.
 */
export class SealLedger1763900000000 implements MigrationInterface {
  readonly name = 'SealLedger1763900000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(COLUMNS);
    await runner.query(SEALS);
    await runner.query(SECURITY);
    await runner.query(POSTING);
    await runner.query(READING);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop function ledger_statement(text, timestamptz, timestamptz, timestamptz, text, bigint, bigint);
      drop function ledger_check(bigint);
      drop function ledger_balances(text[], timestamptz);
      drop function ledger_reverse(text, text, text, timestamptz);
      drop trigger queued on ledger_transactions;
      drop function berth_queue_for_sealing();
      drop table ledger_days, ledger_seals, ledger_chain, ledger_unsealed;
      -- What the sealer had not folded in, while the columns that say so are there.
      alter table ledger_accounts no force row level security;
      alter table ledger_entries no force row level security;
      update ledger_accounts a set balance_nano = e.total, available_nano = e.total
        from (select account_id, sum(amount_nano) as total from ledger_entries group by 1) e where e.account_id = a.id and a.folded;
      alter table ledger_accounts force row level security;
      alter table ledger_entries force row level security;
      alter table ledger_entries drop constraint ledger_entries_account_id_currency_fkey;
      alter table ledger_entries add foreign key (account_id) references ledger_accounts (id);
      drop index ledger_entries_account_id_at_transaction_id_n_idx;
      create index on ledger_entries (account_id, transaction_id);
      alter table ledger_entries drop column currency, drop column at;
      alter table ledger_transactions drop constraint ledger_transactions_reverses_key;
      alter table ledger_accounts drop constraint ledger_accounts_id_currency_key, drop column currency, drop column folded;
    `);
    await runner.query(POSTING_BEFORE);
  }
}

const COLUMNS = `
alter table ledger_accounts
  add column currency text not null default 'USD' check (currency ~ '^[A-Z]{3}$'),
  -- The balance stands as of the last seal; postings write entries only.
  add column folded boolean not null default false,
  add unique (id, currency),
  add check (not (folded and bounded));
alter table ledger_entries
  add column currency text not null default 'USD',
  -- The time of the transaction, so that an account's past is one range of an index.
  add column at timestamptz;
alter table ledger_accounts no force row level security;
alter table ledger_transactions no force row level security;
alter table ledger_entries no force row level security;
alter table ledger_entries disable trigger append_only;
update ledger_entries e set at = t.at from ledger_transactions t where t.id = e.transaction_id;
alter table ledger_entries enable trigger append_only;
-- The sealer folds the old entries in again, from the first on.
update ledger_accounts set folded = true, balance_nano = 0, available_nano = 0 where organization_id is null and id like '%:berth';
alter table ledger_accounts force row level security;
alter table ledger_transactions force row level security;
alter table ledger_entries force row level security;
alter table ledger_accounts alter currency drop default, alter folded drop default;
alter table ledger_entries alter at set not null, alter currency drop default,
  drop constraint ledger_entries_account_id_fkey, add foreign key (account_id, currency) references ledger_accounts (id, currency);
drop index ledger_entries_account_id_transaction_id_idx;
create index on ledger_entries (account_id, at, transaction_id, n);
alter table ledger_transactions add unique (reverses);
`;

const SEALS = `
create table ledger_unsealed (
  transaction_id text primary key references ledger_transactions (id),
  at timestamptz not null
);
create index on ledger_unsealed (at, transaction_id);
create table ledger_seals (
  n bigint primary key check (n > 0),
  previous text not null unique,
  hash text not null unique,
  -- Which transactions, in this order, and the sha256 of each one's canonical text.
  transaction_ids text[] not null check (cardinality(transaction_ids) > 0),
  digests text[] not null check (cardinality(digests) = cardinality(transaction_ids)),
  through_at timestamptz not null,
  sealed_at timestamptz not null
);
-- The last link; who seals holds this row.
create table ledger_chain (
  singleton boolean primary key check (singleton),
  n bigint not null,
  hash text not null,
  transactions bigint not null
);
create table ledger_days (
  account_id text not null references ledger_accounts (id),
  -- Days since 1970-01-01, UTC.
  day integer not null,
  amount_nano numeric(38, 0) not null,
  entries bigint not null,
  primary key (account_id, day)
);
create trigger append_only before update or delete on ledger_seals for each row execute function berth_refuse_change();
create trigger never_emptied before truncate on ledger_seals for each statement execute function berth_refuse_change();
create function berth_queue_for_sealing() returns trigger language plpgsql as $$
begin
  insert into ledger_unsealed (transaction_id, at) values (new.id, new.at);
  return null;
end $$;
create trigger queued after insert on ledger_transactions for each row execute function berth_queue_for_sealing();
alter table ledger_transactions no force row level security;
insert into ledger_unsealed (transaction_id, at) select id, at from ledger_transactions;
alter table ledger_transactions force row level security;
`;

/** For workers only: requests see the ledger itself, and nothing of these. */
const SECURITY = `
do $$
declare t text;
begin
  foreach t in array array['ledger_unsealed', 'ledger_seals', 'ledger_chain', 'ledger_days'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy worker on %I to berth_worker using (true) with check (true)', t);
    execute format('grant select, insert, update, delete on %I to berth_worker', t);
  end loop;
end $$;
revoke update, delete on ledger_seals from berth_worker;
revoke delete on ledger_chain, ledger_days from berth_worker;
`;

const POSTING = `
create or replace function berth_entries_balance() returns trigger language plpgsql as $$
declare wrong record;
begin
  select currency, sum(amount_nano) as total into wrong from ledger_entries
    where transaction_id = new.transaction_id group by currency having sum(amount_nano) <> 0 limit 1;
  if found then
    raise exception 'ledger transaction % does not sum to zero (% %)', new.transaction_id, wrong.total, wrong.currency using errcode = 'check_violation';
  end if;
  return null;
end $$;
create or replace function ledger_post(p_id text, p_key text, p_kind text, p_organization text, p_reference text, p_reverses text, p_at timestamptz, p_entries jsonb)
returns table (outcome text, short_account text) language plpgsql as $$
declare e record;
begin
  insert into ledger_transactions (id, idempotency_key, kind, organization_id, reference, reverses, at)
    values (p_id, p_key, p_kind, p_organization, p_reference, p_reverses, p_at) on conflict (idempotency_key) do nothing;
  if not found then return query select 'known', null::text; return; end if;
  -- Before the entries: of an account that is missing or of another currency the answer is \`short\`, not a broken foreign key.
  for e in
    select x.account, x.amount, x.held, x.below, a.id is not null as known, a.folded from (
      select value ->> 'accountId' as account, coalesce(value ->> 'currency', 'USD') as currency, (value ->> 'amountNano')::numeric as amount,
        coalesce(value ->> 'from', '') = 'held' as held,
        coalesce((value ->> 'below')::boolean, false) as below, ord from jsonb_array_elements(p_entries) with ordinality as y (value, ord)) x
    left join ledger_accounts a on a.id = x.account and a.currency = x.currency order by x.account collate "C", x.ord
  loop
    if not e.known then return query select 'short', e.account; return; end if;
    continue when e.folded;
    if e.below then perform set_config('berth.below', e.account, true); end if;
    update ledger_accounts a set balance_nano = a.balance_nano + e.amount,
        available_nano = a.available_nano + case when e.held then 0 else e.amount end,
        held_nano = a.held_nano + case when e.held then e.amount else 0 end
      where a.id = e.account
        -- Only what takes back may use the credit limit (of a later migration): what was owed before is owed again.
        and (not a.bounded or e.below or e.amount >= 0 or case when e.held then a.held_nano when p_reverses is null then a.available_nano
          else a.available_nano + a.credit_limit_nano end >= -e.amount);
    if not found then return query select 'short', e.account; return; end if;
    if e.below then perform set_config('berth.below', '', true); end if;
  end loop;
  insert into ledger_entries (transaction_id, n, account_id, organization_id, amount_nano, currency, at)
    select p_id, x.ord - 1, x.value ->> 'accountId',
      case when x.value ->> 'accountId' = 'credit:' || p_organization then p_organization end, (x.value ->> 'amountNano')::numeric,
      coalesce(x.value ->> 'currency', 'USD'), p_at
    from jsonb_array_elements(p_entries) with ordinality as x (value, ord);
  return query select 'posted', null::text;
end $$;
create function ledger_reverse(p_id text, p_transaction text, p_why text, p_at timestamptz)
returns table (outcome text, reversal_id text, short_account text) language plpgsql as $$
declare original ledger_transactions; posted record; mirror jsonb;
begin
  select * into original from ledger_transactions where id = p_transaction;
  if original.id is null then return query select 'unknown', null::text, null::text; return; end if;
  if original.reverses is not null then return query select 'is-reversal', null::text, null::text; return; end if;
  select coalesce(jsonb_agg(jsonb_build_object('accountId', account_id, 'currency', currency, 'amountNano', -amount_nano) order by n), '[]')
    into mirror from ledger_entries where transaction_id = p_transaction;
  select * into posted from ledger_post(p_id, 'reverse:' || p_transaction, 'reversal', original.organization_id, p_why, p_transaction, p_at, mirror);
  return query select case posted.outcome when 'posted' then 'reversed' else posted.outcome end,
    case posted.outcome when 'short' then null else (select t.id from ledger_transactions t where t.reverses = p_transaction) end,
    posted.short_account;
end $$;
`;

/** One statement each, and so one snapshot: a transaction that is being sealed counts once, as waiting or as folded in. */
const READING = `
create function ledger_balances(p_accounts text[], p_before timestamptz) returns table (balances jsonb) language sql stable as $$
  with cut as (
    select coalesce(floor(extract(epoch from p_before) / 86400), 2147483647)::integer as day, date_trunc('day', p_before, 'UTC') as midnight
  ), parts as (
    select d.account_id, sum(d.amount_nano) as amount from ledger_days d, cut
      where d.day < cut.day and (p_accounts is null or d.account_id = any (p_accounts)) group by 1
    union all
    select a.id, e.amount from ledger_accounts a, cut, lateral (
        select sum(amount_nano) as amount from ledger_entries where account_id = a.id and at >= cut.midnight and at < p_before) e
      where (p_accounts is null or a.id = any (p_accounts)) and e.amount is not null
    union all
    select e.account_id, e.amount_nano from cut, ledger_unsealed u join ledger_entries e on e.transaction_id = u.transaction_id
      where (cut.midnight is null or u.at < cut.midnight) and (p_accounts is null or e.account_id = any (p_accounts))
  )
  select coalesce(jsonb_agg(jsonb_build_object('accountId', s.account_id, 'balanceNano', s.total::text) order by s.account_id collate "C"), '[]')
  from (select account_id, sum(amount) as total from parts group by 1) s
$$;
create function ledger_statement(p_account text, p_from timestamptz, p_to timestamptz, p_after_at timestamptz, p_after_id text, p_after_n bigint, p_limit bigint)
returns table (opening_nano numeric, closing_nano numeric, carried_nano numeric, entries jsonb) language sql stable as $$
  with totals as (
    select coalesce((select (b.balances -> 0 ->> 'balanceNano')::numeric from ledger_balances(array[p_account], p_from) b), 0) as opening,
      coalesce((select (b.balances -> 0 ->> 'balanceNano')::numeric from ledger_balances(array[p_account], p_to) b), 0) as closing,
      coalesce((select (b.balances -> 0 ->> 'balanceNano')::numeric from ledger_balances(array[p_account], p_after_at) b where p_after_at is not null), 0)
        + coalesce((select sum(e.amount_nano) from ledger_entries e
          where e.account_id = p_account and e.at = p_after_at and (e.transaction_id, e.n) <= (p_after_id, p_after_n)), 0) as carried
  ), page as (
    select e.*, t.kind, t.reference, t.reverses from ledger_entries e join ledger_transactions t on t.id = e.transaction_id
    where e.account_id = p_account and e.at >= p_from and e.at < p_to
      and (p_after_at is null or (e.at, e.transaction_id, e.n) > (p_after_at, p_after_id, p_after_n))
    order by e.at, e.transaction_id, e.n limit p_limit
  )
  select t.opening, t.closing, case when p_after_at is null then t.opening else t.carried end, coalesce((
    select jsonb_agg(jsonb_build_object('transactionId', transaction_id, 'n', n, 'at', (extract(epoch from at) * 1000)::bigint,
      'amountNano', amount_nano::text, 'kind', kind, 'reference', reference, 'reverses', reverses) order by at, transaction_id, n) from page), '[]')
  from totals t
$$;
create function ledger_check(p_most bigint) returns table (transactions bigint, unsealed bigint, unsealed_since timestamptz, lost bigint, wrong_accounts jsonb)
language sql stable as $$
  with replay as (
    select e.account_id, sum(e.amount_nano) as posted, coalesce(sum(e.amount_nano) filter (where u.transaction_id is null), 0) as sealed
    from ledger_entries e left join ledger_unsealed u on u.transaction_id = e.transaction_id group by 1
  ), folded as (
    select account_id, sum(amount_nano) as total from ledger_days group by 1
  ), wrong as (
    select a.id from ledger_accounts a left join replay r on r.account_id = a.id left join folded f on f.account_id = a.id
    where a.balance_nano <> case when a.folded then coalesce(r.sealed, 0) else coalesce(r.posted, 0) end
      or coalesce(f.total, 0) <> coalesce(r.sealed, 0)
    order by a.id limit p_most
  ), counted as (
    select (select count(*) from ledger_transactions) as all_of_them, (select count(*) from ledger_unsealed) as waiting,
      coalesce((select c.transactions from ledger_chain c), 0) as done
  )
  select all_of_them, waiting, (select min(at) from ledger_unsealed), all_of_them - waiting - done,
    (select coalesce(jsonb_agg(id order by id), '[]') from wrong)
  from counted
$$;
`;

/** What ledger_post and the sum's trigger were before; for the way down. */
const POSTING_BEFORE = `
create or replace function berth_entries_balance() returns trigger language plpgsql as $$
declare total numeric;
begin
  select coalesce(sum(amount_nano), 0) into total from ledger_entries where transaction_id = new.transaction_id;
  if total <> 0 then
    raise exception 'ledger transaction % does not sum to zero (%)', new.transaction_id, total using errcode = 'check_violation';
  end if;
  return null;
end $$;
create or replace function ledger_post(p_id text, p_key text, p_kind text, p_organization text, p_reference text, p_reverses text, p_at timestamptz, p_entries jsonb)
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
`;
