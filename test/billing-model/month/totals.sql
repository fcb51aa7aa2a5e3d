-- The month's totals from the recorded leases alone, in another style than the product: one statement, no rooms, no ledger.
-- $1 start of the month, $2 its end, $3 what each tenant's tax is (jsonb: tenant -> basis points),
-- $4 what the broker adds for each kind of provider (jsonb: kind -> basis points), $5 seconds from boot to the accepted probe, at most,
-- $6 what of a provider's earnings is kept back, and the least that is paid out (jsonb: kind -> {holdbackBps, minimumCents}).
-- recorded: the rows of leases.csv.gz.
with
  rated as (
    select
      pod, organization, project, provider, provider_kind, gpu, gpus,
      cost_per_hour_nano as cost,
      cost_per_hour_nano + round(cost_per_hour_nano * ($4::jsonb ->> provider_kind)::numeric / 10000) as charge,
      start_s * 1000 as booted,
      start_s * 1000 + least(pod % $5::int, end_s - start_s) * 1000 as accepted,
      least(end_s * 1000, extract(epoch from $2::timestamptz - $1::timestamptz) * 1000) as ended
    from recorded
  ),
  priced as (
    select
      *,
      round(charge * greatest(ended - accepted, 0) / 3600000) as charge_nano,
      round(cost * greatest(ended - booted, 0) / 3600000) as cost_nano
    from rated
  ),
  tenants as (
    select
      organization as name,
      round(sum(charge_nano) / 10000000) as usage_cents,
      sum(charge_nano) as usage_nano,
      count(distinct (project, gpu, gpus, provider_kind)) filter (where ended > accepted) as lines
    from priced
    group by organization
  ),
  earned as (
    select provider as name, min(provider_kind) as kind, sum(cost_nano) as cost_nano
    from priced
    group by provider
  ),
  providers as (
    select name, cost_nano, round(cost_nano / 10000000) as cost_cents, kept_nano,
      floor((cost_nano - kept_nano) / 10000000) as due_cents, ($6::jsonb -> kind ->> 'minimumCents')::numeric as least_cents
    from earned, lateral (select round(cost_nano * ($6::jsonb -> kind ->> 'holdbackBps')::numeric / 10000) as kept_nano) kept
  )
select
  'tenant' as side,
  name,
  usage_nano as nano,
  usage_cents as cents,
  round(usage_cents * coalesce(($3::jsonb ->> name)::numeric, 0) / 10000) as tax_cents,
  lines::int,
  0 as kept_nano,
  0 as payout_cents
from tenants
union all
select 'provider', name, cost_nano, cost_cents, 0, 0, kept_nano, case when due_cents >= least_cents then due_cents else 0 end
from providers
order by 1, 2;
