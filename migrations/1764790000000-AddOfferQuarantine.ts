import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Offers that cannot be true are kept aside, with the reason; what is usual is the median of comparable ones. */
export class AddOfferQuarantine1764790000000 implements MigrationInterface {
  readonly name = 'AddOfferQuarantine1764790000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table quarantined_offers (
        id text primary key,
        provider_id text not null,
        accelerator text not null,
        pricing text not null,
        region text not null,
        price_per_hour numeric(38, 0) not null,
        source text not null,
        reason text not null,
        first_at timestamptz not null,
        last_at timestamptz not null,
        allowed_price numeric(38, 0) check (allowed_price > 0)
      );
      create index on quarantined_offers (provider_id);
      grant select, insert, update, delete on quarantined_offers to berth_worker;
      create function catalog_price_norms(p_accelerators text[]) returns table (norms jsonb) language sql stable as $$
        select coalesce(jsonb_agg(jsonb_build_object('accelerator', n.accelerator, 'pricing', n.pricing, 'median', n.median::text, 'offers', n.offers)), '[]')
        from (select o.accelerator, o.pricing, percentile_disc(0.5) within group (order by o.price_per_gpu_hour) as median, count(*) as offers
          from offers o where o.accelerator = any (p_accelerators) and not o.doubtful and o.price_per_gpu_hour is not null
          group by o.accelerator, o.pricing) n;
      $$;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop function catalog_price_norms(text[]); drop table quarantined_offers;');
  }
}
