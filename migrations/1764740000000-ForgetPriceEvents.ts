import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Old price events go, but for the one that says what an offer that is there costs. */
export class ForgetPriceEvents1764740000000 implements MigrationInterface {
  readonly name = 'ForgetPriceEvents1764740000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create function price_events_forget(p_before timestamptz, p_most integer) returns table (forgotten bigint) language sql volatile as $$
        with old as (
          select e.offer_id, e.at from price_events e where e.at < p_before
            and (exists (select 1 from price_events l where l.offer_id = e.offer_id and l.at > e.at)
              or not exists (select 1 from offers o where o.id = e.offer_id))
          order by e.at limit p_most
        ), gone as (
          delete from price_events e using old where e.offer_id = old.offer_id and e.at = old.at returning 1
        )
        select count(*) from gone;
      $$;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop function price_events_forget(timestamptz, integer);');
  }
}
