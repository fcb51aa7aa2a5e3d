import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who did what, with the state before and after; written once. */
export class AddAuditLog1764100000000 implements MigrationInterface {
  readonly name = 'AddAuditLog1764100000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table audit_log (
        id text primary key,
        at timestamptz not null,
        actor_key_id text,
        actor_organization_id text,
        organization_id text,
        action text not null check (action like '%.%'),
        subject text not null,
        before jsonb,
        after jsonb,
        request_id text,
        actor_address text
      );
      create index on audit_log (organization_id, id);
      create index on audit_log (subject, id);
      create trigger append_only before update or delete on audit_log for each row execute function berth_refuse_change();
      create trigger never_emptied before truncate on audit_log for each statement execute function berth_refuse_change();
      alter table audit_log enable row level security;
      alter table audit_log force row level security;
      create policy tenant on audit_log to berth_app
        using (organization_id = nullif(current_setting('berth.organization', true), ''))
        with check (organization_id = nullif(current_setting('berth.organization', true), ''));
      create policy worker on audit_log to berth_worker using (true) with check (true);
      grant select, insert on audit_log to berth_app;
      grant select, insert on audit_log to berth_worker;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table audit_log');
  }
}
