import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Usage by months: partitions live in a schema of their own that nobody but the owner may use, so that the only way to them is the
 * table in front with its policies.
 */
export class AddUsage1764000000000 implements MigrationInterface {
  readonly name = 'AddUsage1764000000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(PARTITIONS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop function usage_partitions(timestamptz, integer, integer);
      drop schema partitions cascade;
    `);
  }
}

/** `stranded` months have rows in the default partition already: they stay there, and are told of. */
const PARTITIONS = `
create schema partitions;
create table partitions.usage_records_rest partition of usage_records default;
create function usage_partitions(p_at timestamptz, p_back integer, p_ahead integer) returns table (made bigint, stranded bigint, resting bigint)
language plpgsql security definer set search_path = public, pg_temp set timezone = 'UTC' as $$
declare m timestamptz; made bigint := 0; stranded bigint := 0; part text;
begin
  perform pg_advisory_xact_lock(hashtext('usage_partitions'));
  for m in select generate_series(date_trunc('month', p_at) - make_interval(months => p_back), date_trunc('month', p_at) + make_interval(months => p_ahead), interval '1 month') loop
    part := 'usage_records_' || to_char(m, 'YYYY_MM');
    if to_regclass('partitions.' || part) is not null then continue; end if;
    if exists (select 1 from partitions.usage_records_rest where period_month = m) then stranded := stranded + 1; continue; end if;
    execute format('create table partitions.%I partition of usage_records for values from (%L) to (%L)', part, m, m + interval '1 month');
    made := made + 1;
  end loop;
  return query select made, stranded, (select count(*) from (select 1 from partitions.usage_records_rest limit 1000000) r);
end $$;
revoke all on function usage_partitions(timestamptz, integer, integer) from public;
grant execute on function usage_partitions(timestamptz, integer, integer) to berth_worker;
select usage_partitions(now(), 2, 3);
`;
