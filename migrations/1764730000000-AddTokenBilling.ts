import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Jobs that are paid by tokens: their terms, the most that each shard is charged for, and what of each month an organization has used. */
export class AddTokenBilling1764730000000 implements MigrationInterface {
  readonly name = 'AddTokenBilling1764730000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table jobs add column token_terms jsonb;
      alter table shards add column input_tokens_most bigint not null default 0, add column output_tokens_most bigint not null default 0;
      create table token_months (
        organization_id text not null references organizations (id),
        month timestamptz not null,
        model text not null,
        input numeric(38, 0) not null check (input >= 0),
        cached numeric(38, 0) not null check (cached >= 0),
        output numeric(38, 0) not null check (output >= 0),
        primary key (organization_id, month, model)
      );
      alter table token_months enable row level security;
      alter table token_months force row level security;
      create policy tenant on token_months to berth_app using (organization_id = nullif(current_setting('berth.organization', true), '')) with check (organization_id = nullif(current_setting('berth.organization', true), ''));
      create policy worker on token_months to berth_worker using (true) with check (true);
      grant select, insert, update on token_months to berth_worker;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop table token_months;
      alter table shards drop column input_tokens_most, drop column output_tokens_most;
      alter table jobs drop column token_terms;
    `);
  }
}
