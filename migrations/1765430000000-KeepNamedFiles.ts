import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * No file is deleted while a job that reads it is written. Files pass one of 64 gates of their organization: a lock for each file of a large
 * submission would fill the lock table that all of a server's transactions share.
 */
export class KeepNamedFiles1765430000000 implements MigrationInterface {
  readonly name = 'KeepNamedFiles1765430000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create function artifact_gate(p_organization_id text, p_ids text[], p_alone boolean)
        returns table (passed boolean) language plpgsql as $$
      declare gate integer;
      begin
        for gate in select distinct hashtext(x) & 63 from unnest(p_ids) as x order by 1 loop
          if p_alone then perform pg_advisory_xact_lock(hashtextextended('artifacts:' || p_organization_id || ':' || gate, 0));
          else perform pg_advisory_xact_lock_shared(hashtextextended('artifacts:' || p_organization_id || ':' || gate, 0)); end if;
        end loop;
        return query select true;
      end $$;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop function artifact_gate(text, text[], boolean)');
  }
}
