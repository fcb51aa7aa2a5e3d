import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Payouts may come back in parts. */
export class AddPartialReversals1765400000000 implements MigrationInterface {
  readonly name = 'AddPartialReversals1765400000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table payouts add column reversed_cents bigint not null default 0;
      update payouts set reversed_cents = amount_cents where state = 'reversed';
      alter table payouts alter column reversed_cents drop default,
        add constraint payouts_reversed_cents_check check (reversed_cents between 0 and amount_cents),
        add constraint payouts_reversed_whole_check check ((state = 'reversed') = (reversed_cents = amount_cents)),
        add constraint payouts_reversed_paid_check check (reversed_cents = 0 or paid_at is not null);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table payouts drop column reversed_cents');
  }
}
