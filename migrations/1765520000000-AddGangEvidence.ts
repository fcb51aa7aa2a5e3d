import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How often machines of one place are lost together, and the index by which those that ended lately are found. */
export class AddGangEvidence1765520000000 implements MigrationInterface {
  readonly name = 'AddGangEvidence1765520000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table gang_evidence (
        way text primary key check (way in ('spot', 'steady')),
        evidence jsonb not null
      );
      grant select, insert, update on gang_evidence to berth_worker;
      create index on leases (ended_at) where ended_at is not null;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table gang_evidence; drop index leases_ended_at_idx;');
  }
}
