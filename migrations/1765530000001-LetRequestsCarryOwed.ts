import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A request that counts against a limit writes what is owed of it, too. */
export class LetRequestsCarryOwed1765530000001 implements MigrationInterface {
  readonly name = 'LetRequestsCarryOwed1765530000001';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('grant update (owed) on quotas to berth_app');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('revoke update (owed) on quotas from berth_app');
  }
}
