import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What pieces of work used beyond a rate is owed by its next windows, and who waits for room has claimed it. */
export class CarryRates1765440000000 implements MigrationInterface {
  readonly name = 'CarryRates1765440000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table quotas add column owed numeric(38, 0) not null default 0 check (owed >= 0);
      alter table quotas add column claims jsonb not null default '[]';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table quotas drop column claims, drop column owed');
  }
}
