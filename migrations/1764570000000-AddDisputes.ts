import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Payments that cardholders dispute at their bank. Tenants read their own; only workers change. */
export class AddDisputes1764570000000 implements MigrationInterface {
  readonly name = 'AddDisputes1764570000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table payment_disputes (
        id text primary key,
        organization_id text not null references organizations (id),
        version integer not null,
        wake_at timestamptz,
        state text not null check (state in ('inquiry', 'open', 'won', 'lost', 'closed')),
        payment_id text not null references payments (id),
        processor_id text not null unique,
        reason text not null,
        amount_cents bigint not null check (amount_cents >= 0),
        withdrawn_cents bigint not null check (withdrawn_cents >= 0),
        fee_cents bigint not null,
        bookings integer not null check (bookings >= 0),
        evidence_due_at timestamptz,
        created_at timestamptz not null,
        ended_at timestamptz
      );
      create index on payment_disputes (payment_id);
      alter table payment_disputes enable row level security;
      alter table payment_disputes force row level security;
      create policy tenant on payment_disputes to berth_app
        using (organization_id = nullif(current_setting('berth.organization', true), ''));
      create policy worker on payment_disputes to berth_worker using (true) with check (true);
      grant select on payment_disputes to berth_app;
      grant select, insert, update on payment_disputes to berth_worker;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table payment_disputes');
  }
}
