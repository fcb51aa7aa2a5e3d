/**
 * An outside look at the books and the machines after the dust has settled. It knows the tables from their description only and
 * shares no code with the product, so that one mistake cannot hide in both.
 */
export type Ask = <Row extends object>(sql: string) => Promise<Row[]>;

/** A machine as the vendor knows it. */
export interface VendorSide {
  readonly id: string;
  readonly state: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** Each question must find nothing; what it finds is shown. */
const QUESTIONS: Record<string, string> = {
  'a job has not ended': `select id, state from jobs where state not in ('succeeded', 'failed', 'cancelled')`,
  'a succeeded job has unfinished shards': `
    select j.id, s.n, s.state from jobs j join shards s on s.job_id = j.id where j.state = 'succeeded' and s.state <> 'done'`,
  'the shards of a job do not cover its lines exactly once': `
    select job_id, n from (
      select job_id, n, line_from, line_to, coalesce(lag(line_to) over (partition by job_id order by n), 0) as before from shards) s
    where line_from <> before or line_to < line_from
    union all
    select j.id, null from jobs j where j.kind = 'batch-inference' and j.lines_total <> (select max(line_to) from shards where job_id = j.id)`,
  'a job counts other lines or shards than its shards do': `
    select j.id, j.lines_ok, t.ok, j.shards_done, t.done from jobs j
    join (select job_id, sum(lines_ok) filter (where state = 'done') as ok, count(*) filter (where state = 'done') as done,
            count(*) filter (where state = 'failed') as failed from shards group by 1) t on t.job_id = j.id
    where j.lines_ok <> coalesce(t.ok, 0) or j.shards_done <> t.done or j.shards_failed <> t.failed`,
  'a finished shard has no result, or one of another assignment': `
    select s.id, s.fence, s.result_key from shards s join jobs j on j.id = s.job_id
    where s.state = 'done' and j.kind = 'batch-inference' and (s.result_key is null or s.result_key not like '%-' || s.fence || '.jsonl')`,
  'a lease has not ended': `select id, state from leases where state <> 'ended'`,
  'a lease holds two machines in its books': `
    select lease_id from lease_attempts where state in ('created', 'closed') group by 1 having count(*) > 1`,
  'a call of an ended lease is still open': `
    select a.id, a.state from lease_attempts a join leases l on l.id = a.lease_id where l.state = 'ended' and a.state in ('calling', 'unknown', 'created')`,
  'slots of a host are taken by nobody': `select s.* from slots s left join leases l on l.id = s.lease_id where l.id is null or l.state = 'ended'`,
  'the agent of an ended lease has authority': `
    select a.id from agents a join leases l on l.id = a.lease_id where l.state = 'ended' and a.state <> 'gone'`,
  'a ledger transaction does not sum to zero': `
    select transaction_id, sum(amount_nano) from ledger_entries group by 1 having sum(amount_nano) <> 0`,
  // Accounts of the broker are moved when their transactions are sealed.
  'the ledger does not sum to zero': `
    select a.sum, e.sum as waiting from (select sum(balance_nano) from ledger_accounts) a
    cross join (select coalesce(sum(e.amount_nano), 0) as sum from ledger_entries e join ledger_unsealed u using (transaction_id)
      join ledger_accounts f on f.id = e.account_id where f.folded) e where a.sum + e.sum <> 0`,
  'an account does not have the balance of its entries': `
    select wrong_accounts from ledger_check(20) where wrong_accounts <> '[]'`,
  'a transaction is neither sealed nor waiting for it': `select lost from ledger_check(20) where lost <> 0`,
  'what is held is not what open holds have': `
    select a.id, a.held_nano, h.open from ledger_accounts a
    cross join lateral (select coalesce(sum(remaining_nano), 0) as open from holds where organization_id = a.organization_id and state = 'held') h
    where a.kind = 'credit' and a.held_nano <> h.open`,
  'a hold is open though its job and lease have ended': `
    select h.id, h.job_id, h.lease_id from holds h where h.state = 'held'
    and not exists (select 1 from jobs j where j.id = h.job_id and j.state not in ('succeeded', 'failed', 'cancelled'))
    and not exists (select 1 from leases l where l.id = h.lease_id and l.state <> 'ended')`,
  'usage intervals of a lease overlap or leave a gap': `
    select lease_id, side, from_at, before from (
      select lease_id, side, from_at, lag(to_at) over (partition by lease_id, side order by from_at, to_at) as before
      from usage_records where meter = 'lease-time') u where before <> from_at`,
  'usage lies outside the life of its lease': `
    select u.id, u.side, u.from_at, u.to_at from usage_records u join leases l on l.id = u.lease_id
    where u.meter = 'lease-time' and u.side = 'charge' and (u.from_at < l.accepted_at or u.to_at > l.ended_at)
    union all
    select u.id, u.side, u.from_at, u.to_at from usage_records u join leases l on l.id = u.lease_id
    where u.meter = 'lease-time' and u.side = 'cost' and u.from_at < l.booted_at`,
  'a lease was not metered to where it says': `
    select l.id, l.cost_through, u.last from leases l
    join (select lease_id, max(to_at) as last from usage_records where meter = 'lease-time' and side = 'cost' group by 1) u on u.lease_id = l.id
    where l.cost_through <> u.last`,
  'a machine that ran was not paid for': `
    select l.id from leases l where l.booted_at is not null and l.ended_at > l.booted_at
    and not exists (select 1 from usage_records u where u.lease_id = l.id and u.side = 'cost' and u.meter = 'lease-time')`,
  'a job was not charged what its usage says': `
    select j.id, j.charged_nano, coalesce(sum(u.amount_nano), 0) as usage from jobs j
    left join usage_records u on u.job_id = j.id and u.side = 'charge' group by j.id having j.charged_nano <> coalesce(sum(u.amount_nano), 0)`,
  'a job was charged more than its cap': `select id, charged_nano, cap_nano from jobs where charged_nano > cap_nano`,
  'the credit did not pay what usage says': `
    select o.organization_id, o.usage, e.paid from (select organization_id, sum(amount_nano) as usage from usage_records where side = 'charge' group by 1) o
    cross join lateral (select coalesce(-sum(e.amount_nano), 0) as paid from ledger_entries e join ledger_transactions t on t.id = e.transaction_id
      join ledger_accounts a on a.id = e.account_id where t.kind = 'usage' and a.kind = 'credit' and a.organization_id = o.organization_id) e
    where o.usage <> e.paid`,
  'providers are not owed what usage says': `
    select u.cost, p.owed from (select coalesce(sum(amount_nano), 0) as cost from usage_records where side = 'cost') u
    cross join (select coalesce(sum(balance_nano), 0) as owed from ledger_accounts where kind = 'payable') p where u.cost <> p.owed`,
  'events of a row do not follow one another': `
    select subject_id, n, from_state, before from (
      select subject_id, n, from_state, lag(to_state) over (partition by subject_id order by n) as before from events) e
    where before is not null and before <> from_state`,
  'the first event of a row is not its beginning': `
    select distinct on (subject_id) subject_id, from_state, to_state from events order by subject_id, n`,
  'a row is in a state that no event tells of': `
    select r.id, r.state, e.to_state from (
      select id, state from jobs union all select id, state from leases where version > 1) r
    left join lateral (select to_state from events where subject_id = r.id order by n desc limit 1) e on true
    where e.to_state is distinct from r.state`,
  'a shard was counted twice in usage': `
    select key from usage_records where meter <> 'lease-time' group by key having count(*) > 1
    union all
    select j.id from jobs j join usage_records u on u.job_id = j.id and u.meter = 'lines' group by j.id having sum(u.quantity) <> j.lines_ok`,
};

const FIRSTS = new Set(['null>queued', 'requested>calling', 'requested>ended', 'requested>requested']);

/** An audit that sees no rows proves nothing. */
const SEEN = `select (select count(*) from jobs) * (select count(*) from leases) * (select count(*) from ledger_entries)
  * (select count(*) from usage_records) * (select count(*) from events) > 0 as all`;

/** Everything that is wrong, each with the rows that show it; empty when all is well. */
export async function audit(ask: Ask, vendor: readonly VendorSide[] = []): Promise<string[]> {
  const wrong: string[] = [];
  const [seen] = await ask<{ all: boolean }>(SEEN);
  if (seen?.all !== true) wrong.push('there was nothing to audit');
  for (const [what, sql] of Object.entries(QUESTIONS)) {
    let rows = await ask<Record<string, unknown>>(sql);
    if (what.startsWith('the first event'))
      rows = rows.filter((r) => !FIRSTS.has(`${String(r['from_state'])}>${String(r['to_state'])}`));
    if (rows.length > 0) wrong.push(`${what}: ${JSON.stringify(rows.slice(0, 5))}`);
  }
  return [
    ...wrong,
    ...machinesAudit(vendor, await ask<{ id: string; vendor_id: string | null }>('select id, vendor_id from leases')),
  ];
}

const GONE = ['terminated', 'failed', 'preempted'];

function machinesAudit(
  vendor: readonly VendorSide[],
  leases: readonly { id: string; vendor_id: string | null }[],
): string[] {
  const wrong: string[] = [];
  const known = new Map(leases.map((l) => [l.id, l]));
  const perLease = new Map<string, VendorSide[]>();
  for (const machine of vendor) {
    if (!GONE.includes(machine.state)) wrong.push(`machine ${machine.id} is still ${machine.state}`);
    const lease = machine.tags['berth-lease'];
    if (lease === undefined || !known.has(lease)) wrong.push(`machine ${machine.id} belongs to no lease`);
    else perLease.set(lease, [...(perLease.get(lease) ?? []), machine]);
  }
  for (const [lease, machines] of perLease) {
    if (machines.length > 1)
      wrong.push(`lease ${lease} had ${machines.length} machines: ${machines.map((m) => m.id).join(', ')}`);
    const own = known.get(lease)?.vendor_id;
    if (own !== null && own !== undefined && !machines.some((m) => m.id === own))
      wrong.push(`lease ${lease} names machine ${own}, which is not there`);
  }
  return wrong;
}
