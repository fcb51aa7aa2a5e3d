import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Outcomes of leases on their way into evidence, and the evidence of each scope, of all tenants together. */
export class AddReliability1764600000000 implements MigrationInterface {
  readonly name = 'AddReliability1764600000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table lease_outcomes (
        id text primary key,
        provider_kind text not null,
        provider_id text not null,
        region text not null,
        sku text not null,
        pricing text not null,
        host_id text,
        kind text not null check (kind in ('started', 'start-failed', 'ran', 'lost')),
        at timestamptz not null,
        boot_s int check (boot_s >= 0),
        from_age_s int check (from_age_s >= 0),
        age_s int check (age_s >= from_age_s)
      );
      create index on lease_outcomes (at, id);
      create table reliability_evidence (
        scope text primary key,
        depth int not null check (depth between 0 and 5),
        evidence jsonb not null,
        updated_at timestamptz not null
      );
      create index on reliability_evidence (scope) where depth < 2;
      create table reliability_progress (
        name text primary key,
        through timestamptz not null
      );
      grant select, insert, update, delete on lease_outcomes, reliability_evidence, reliability_progress to berth_worker;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table lease_outcomes, reliability_evidence, reliability_progress;');
  }
}
