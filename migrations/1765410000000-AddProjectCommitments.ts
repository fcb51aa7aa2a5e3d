import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A promise of spending may be one project's. */
export class AddProjectCommitments1765410000000 implements MigrationInterface {
  readonly name = 'AddProjectCommitments1765410000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table commitments add column project_id text references projects (id);
      drop policy tenant on commitments;
      create policy tenant on commitments to berth_app using (berth_sees(organization_id, project_id)
        or (project_id is null and organization_id = nullif(current_setting('berth.organization', true), '')));
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop policy tenant on commitments;
      create policy tenant on commitments to berth_app using (organization_id = nullif(current_setting('berth.organization', true), '')) with check (organization_id = nullif(current_setting('berth.organization', true), ''));
      alter table commitments drop column project_id;
    `);
  }
}
