import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Ends of shards on their way into evidence, and the speed of each kind of machine by model size, of all tenants together. */
export class AddServingSpeeds1764760000000 implements MigrationInterface {
  readonly name = 'AddServingSpeeds1764760000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table shard_times (
        id text primary key,
        lease_id text not null,
        heard_from text not null,
        accelerator text not null,
        units double precision not null check (units > 0),
        parameters_b double precision not null check (parameters_b > 0),
        bytes_per_parameter double precision not null check (bytes_per_parameter > 0),
        tokens bigint not null check (tokens >= 0),
        assigned_at timestamptz not null,
        at timestamptz not null,
        folded boolean not null
      );
      create index on shard_times (at, id) where not folded;
      create index on shard_times (lease_id) where folded;
      create index on shard_times (at) where folded;
      create table serving_speeds (
        what text primary key,
        evidence jsonb not null,
        updated_at timestamptz not null
      );
      create index on serving_speeds (updated_at);
      grant select, insert, update, delete on shard_times, serving_speeds to berth_worker;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table shard_times, serving_speeds;');
  }
}
