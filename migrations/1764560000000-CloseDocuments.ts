import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Documents at the payment processor that are to be closed there. Only workers use them. */
export class CloseDocuments1764560000000 implements MigrationInterface {
  readonly name = 'CloseDocuments1764560000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table invoice_closings (
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
        state text not null check (state in ('intended', 'calling', 'unknown', 'retrying', 'closed', 'refused')),
        invoice_id text not null references invoices (id),
        pushed_id text not null unique,
        close_as text not null check (close_as in ('paid-elsewhere', 'void'))
      );
      create index on invoice_closings (wake_at) where wake_at is not null;
      create index on invoice_closings (invoice_id);
      alter table invoice_closings enable row level security;
      alter table invoice_closings force row level security;
      create policy tenant on invoice_closings to berth_app using (organization_id = nullif(current_setting('berth.organization', true), ''))
        with check (organization_id = nullif(current_setting('berth.organization', true), ''));
      create policy worker on invoice_closings to berth_worker using (true) with check (true);
      grant select, insert, update on invoice_closings to berth_worker;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table invoice_closings');
  }
}
