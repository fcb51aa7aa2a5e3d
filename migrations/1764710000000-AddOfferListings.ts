import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When each provider's offers are read next and how it went, and which of its offers a list lacks. */
export class AddOfferListings1764710000000 implements MigrationInterface {
  readonly name = 'AddOfferListings1764710000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table offer_listings (
        provider_id text primary key references providers (id),
        next_at timestamptz not null,
        claim text not null,
        started_at timestamptz,
        listed_at timestamptz,
        took_ms integer check (took_ms >= 0),
        offers integer check (offers >= 0),
        failures integer not null check (failures >= 0),
        doubted integer not null check (doubted >= 0),
        error text,
        error_at timestamptz
      );
      grant select, insert, update, delete on offer_listings to berth_worker;
      create function catalog_unseen(p_provider text, p_ids text[]) returns table (listed bigint, unseen jsonb) language sql stable as $$
        select count(*) filter (where o.missed = 0),
          coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'missed', o.missed) order by o.id) filter (where s.id is null), '[]')
        from offers o left join (select distinct x as id from unnest(p_ids) as x) s on s.id = o.id where o.provider_id = p_provider;
      $$;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop function catalog_unseen(text, text[]); drop table offer_listings;');
  }
}
