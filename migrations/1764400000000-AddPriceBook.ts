import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Prices with the time they take effect, who is on which plan, promises of spending, and the terms that a lease was made on. */
export class AddPriceBook1764400000000 implements MigrationInterface {
  readonly name = 'AddPriceBook1764400000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table price_books (
        id text primary key,
        version integer not null unique check (version > 0),
        effective_at timestamptz not null,
        terms jsonb not null,
        note text,
        created_at timestamptz not null,
        check (effective_at >= created_at)
      );
      create trigger append_only before update or delete on price_books for each row execute function berth_refuse_change();
      create trigger never_emptied before truncate on price_books for each statement execute function berth_refuse_change();
      create table organization_plans (
        organization_id text not null references organizations (id),
        n integer not null check (n > 0),
        plan text,
        effective_at timestamptz not null,
        primary key (organization_id, n)
      );
      create trigger append_only before update or delete on organization_plans for each row execute function berth_refuse_change();
      create trigger never_emptied before truncate on organization_plans for each statement execute function berth_refuse_change();
      create table commitments (
        id text primary key,
        organization_id text not null references organizations (id),
        per text not null check (per in ('hour', 'month')),
        amount_nano numeric(38, 0) not null check (amount_nano > 0),
        discount_bps integer not null check (discount_bps between 0 and 10000),
        starts_at timestamptz not null,
        ends_at timestamptz not null,
        settled_through timestamptz not null,
        owed_nano numeric(38, 0) not null check (owed_nano >= 0),
        created_at timestamptz not null,
        version integer not null,
        wake_at timestamptz,
        check (starts_at < ends_at),
        check (settled_through between starts_at and ends_at)
      );
      create index on commitments (organization_id);
      create index on commitments (wake_at) where wake_at is not null;
      alter table price_books enable row level security;
      alter table price_books force row level security;
      create policy worker on price_books to berth_worker using (true) with check (true);
      alter table organization_plans enable row level security;
      alter table organization_plans force row level security;
      create policy tenant on organization_plans to berth_app using (organization_id = nullif(current_setting('berth.organization', true), '')) with check (organization_id = nullif(current_setting('berth.organization', true), ''));
      create policy worker on organization_plans to berth_worker using (true) with check (true);
      alter table commitments enable row level security;
      alter table commitments force row level security;
      create policy tenant on commitments to berth_app using (organization_id = nullif(current_setting('berth.organization', true), '')) with check (organization_id = nullif(current_setting('berth.organization', true), ''));
      create policy worker on commitments to berth_worker using (true) with check (true);
      grant select, insert on price_books, organization_plans to berth_worker;
      grant select, insert, update on commitments to berth_worker;
      grant select on organization_plans, commitments to berth_app;
      alter table leases add column charge_terms jsonb;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table leases drop column charge_terms;
      drop table commitments, organization_plans, price_books;
    `);
  }
}
