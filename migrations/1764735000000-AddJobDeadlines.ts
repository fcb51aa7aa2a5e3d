import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Where a job with a deadline goes at the latest, and that it may not go back to machines that may be taken away. */
export class AddJobDeadlines1764735000000 implements MigrationInterface {
  readonly name = 'AddJobDeadlines1764735000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table jobs add column fallback jsonb;
      alter table jobs add column steady_only boolean not null default false;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table jobs drop column fallback, drop column steady_only');
  }
}
