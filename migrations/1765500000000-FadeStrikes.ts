import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Strikes against a zone fade by parts of one. */
export class FadeStrikes1765500000000 implements MigrationInterface {
  readonly name = 'FadeStrikes1765500000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table failure_memory alter column strikes type double precision');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table failure_memory alter column strikes type integer');
  }
}
