import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Machines that nobody wants and that wait for an administrator, and the pause in which they do. */
export class AddOrphans1764450000000 implements MigrationInterface {
  readonly name = 'AddOrphans1764450000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table orphans (
        provider_id text not null references providers (id),
        vendor_id text not null,
        lease_id text,
        attempt_id text,
        reason text not null check (reason in ('superseded', 'ended', 'no-attempt', 'unknown-attempt', 'newer-than-records')),
        created_at timestamptz,
        first_seen_at timestamptz not null,
        seen_at timestamptz not null,
        confirmed_at timestamptz,
        confirmed_by text,
        primary key (provider_id, vendor_id)
      );
      create table sweep_pauses (
        singleton boolean primary key check (singleton),
        since timestamptz not null,
        reason text not null,
        by_key_id text
      );
      create index on leases (provider_id) where ended_at is null;
      create index on lease_attempts (intent_at);
      grant select, insert, update, delete on orphans, sweep_pauses to berth_worker;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop table orphans, sweep_pauses;
      drop index leases_provider_id_idx, lease_attempts_intent_at_idx;
    `);
  }
}
