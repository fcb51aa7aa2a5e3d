import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Prices that are locked for a tenant for some minutes; each is for one job at most. */
export class AddQuotes1764800000000 implements MigrationInterface {
  readonly name = 'AddQuotes1764800000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table quotes (
        id text primary key,
        organization_id text not null,
        project_id text not null,
        placement_id text not null,
        provider_id text not null,
        offer_id text not null,
        offer jsonb not null,
        workload jsonb not null,
        cost_per_hour numeric(38, 0) not null check (cost_per_hour >= 0),
        charge_per_hour numeric(38, 0) not null check (charge_per_hour >= 0),
        terms jsonb not null,
        expected_s double precision not null,
        created_at timestamptz not null,
        expires_at timestamptz not null check (expires_at > created_at),
        job_id text unique,
        used_at timestamptz,
        check ((job_id is null) = (used_at is null))
      );
      create index on quotes (organization_id, project_id, id);
      alter table quotes enable row level security;
      alter table quotes force row level security;
      create policy tenant on quotes to berth_app using (berth_sees(organization_id, project_id)) with check (berth_sees(organization_id, project_id));
      create policy worker on quotes to berth_worker using (true) with check (true);
      grant select, insert on quotes to berth_app;
      -- What was quoted stays; a request may only put a job to it.
      grant update (job_id, used_at) on quotes to berth_app;
      grant select, insert, update on quotes to berth_worker;
      alter table jobs add column quote_id text;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table jobs drop column quote_id;
      drop table quotes;
    `);
  }
}
