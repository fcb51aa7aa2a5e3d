import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How far the files that tenants keep and read are charged, and what was sent of them and is not charged yet. Nobody but workers sees these. */
export class AddStorage1764720000000 implements MigrationInterface {
  readonly name = 'AddStorage1764720000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table artifacts add column deleted_at timestamptz check (deleted_at >= created_at);
      create table storage_marks (
        organization_id text primary key references organizations (id),
        charged_through timestamptz not null,
        month timestamptz not null,
        free_mb_hours numeric(38, 0) not null check (free_mb_hours >= 0),
        free_bytes numeric(38, 0) not null check (free_bytes >= 0),
        version integer not null,
        wake_at timestamptz
      );
      create index on storage_marks (wake_at) where wake_at is not null;
      create table storage_sums (
        project_id text primary key,
        organization_id text not null references organizations (id),
        byte_ms numeric(38, 0) not null check (byte_ms >= 0),
        month timestamptz not null,
        paid_mb_hours numeric(38, 0) not null check (paid_mb_hours >= 0),
        paid_bytes numeric(38, 0) not null check (paid_bytes >= 0)
      );
      create index on storage_sums (organization_id);
      create table egress_counts (
        id text primary key,
        organization_id text not null references organizations (id),
        project_id text not null,
        bytes numeric(38, 0) not null check (bytes > 0),
        counted_at timestamptz not null,
        charged_through timestamptz
      );
      create index on egress_counts (organization_id, charged_through);
      alter table storage_marks enable row level security;
      alter table storage_marks force row level security;
      create policy tenant on storage_marks to berth_app using (organization_id = nullif(current_setting('berth.organization', true), '')) with check (organization_id = nullif(current_setting('berth.organization', true), ''));
      create policy worker on storage_marks to berth_worker using (true) with check (true);
      alter table storage_sums enable row level security;
      alter table storage_sums force row level security;
      create policy tenant on storage_sums to berth_app using (berth_sees(organization_id, project_id)) with check (berth_sees(organization_id, project_id));
      create policy worker on storage_sums to berth_worker using (true) with check (true);
      alter table egress_counts enable row level security;
      alter table egress_counts force row level security;
      create policy tenant on egress_counts to berth_app using (berth_sees(organization_id, project_id)) with check (berth_sees(organization_id, project_id));
      create policy worker on egress_counts to berth_worker using (true) with check (true);
      grant select, insert, update on storage_marks, storage_sums to berth_worker;
      grant select, insert, update, delete on egress_counts to berth_worker;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop table egress_counts, storage_sums, storage_marks;
      alter table artifacts drop column deleted_at;
    `);
  }
}
