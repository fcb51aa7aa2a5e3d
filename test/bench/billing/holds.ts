import { readdirSync, readFileSync } from 'node:fs';
import { newId, systemClock, systemRandom, usd } from '#kernel';
import { PgStore, sql, WORKER, type Store } from '#platform/database';
import { organizations, projects } from '#identity/tenancy';
import { Ledger } from '#money/ledger';
import { holds, Holds, Quotas, type HoldRow } from '#money/quotas';
import { Artifacts } from '#compute/artifacts';
import { leaseWith } from '#testing';
import { burn, defaultLeaseTimes, leases, renewHolds, type LeaseRow } from '#compute/leases';
import { createJobSchema } from '#contracts';
import { Jobs } from '#work/jobs';

export interface HoldsContext {
  readonly store: Store;
  readonly quick?: boolean;
}

export interface HoldsResult {
  /** Reservations over many projects; jobs submitted to one, each with its reservation. */
  readonly holdsPerSecond: number;
  readonly hotHoldsPerSecond: number;
  /** CPU of this process and of PostgreSQL for the renewal of one running lease, and what 10,000 of them take. */
  readonly renewalCpuMs: number;
  readonly renewalCoresAt10000: number;
}

const CLIENTS = 32;
const RESERVED_NANO = 1_000_000n;

interface Tenant {
  readonly organizationId: string;
  readonly projectId: string;
}

/** What setting money aside costs, and keeping it set aside. */
export async function run({ store, quick = false }: HoldsContext): Promise<HoldsResult> {
  const ledger = new Ledger(systemClock, systemRandom);
  const of = new Holds(ledger, systemClock, systemRandom);
  await store.transaction(WORKER, (tx) => ledger.openOwn(tx));
  const many = await Promise.all(Array.from({ length: 64 }, () => tenant(store, ledger)));
  const first = many.slice(0, 1);
  const take: Reserve = (who) => store.transaction(WORKER, (tx) => of.take(tx, { ...who, amountNano: RESERVED_NANO }));
  await reserve(take, many, 200);
  const holdsPerSecond = await reserve(take, many, quick ? 1_000 : 6_000);
  const submit = submissions(store, of);
  const hotHoldsPerSecond = await reserve(submit, first, quick ? 300 : 2_000);
  const { cpuMs, cores } = await renewals(store, of, many.slice(0, 20), quick ? 1_000 : 10_000);
  return { holdsPerSecond, hotHoldsPerSecond, renewalCpuMs: cpuMs, renewalCoresAt10000: cores };
}

async function tenant(store: Store, ledger: Ledger): Promise<Tenant> {
  const [organizationId, projectId, createdAt] = [newId('organization'), newId('project'), systemClock.now()];
  await store.transaction(WORKER, async (tx) => {
    await tx.insert(organizations, { id: organizationId, name: 'bench', kind: 'tenant', state: 'active', createdAt });
    await tx.insert(projects, { id: projectId, organizationId, name: 'default', createdAt });
    await ledger.credit(tx, organizationId, usd('1000000'), 'grant', `bench:${organizationId}`);
  });
  return { organizationId, projectId };
}

type Reserve = (who: Tenant) => Promise<unknown>;

/** Jobs as a tenant's key submits them: the transaction that sets their money aside writes them too. Nothing is uploaded or woken. */
function submissions(store: Store, of: Holds): Reserve {
  const none = (): Promise<never> => Promise.reject(new Error('commands without files need no object store'));
  const objects = { put: none, get: none, getRange: none, delete: none };
  const [clock, random] = [systemClock, systemRandom];
  const jobs = new Jobs({
    store,
    artifacts: new Artifacts(store, objects, clock, random, new Quotas(clock, random)),
    holds: of,
    estimator: { estimate: none },
    prices: { tokenTermsFor: none },
    quotes: { openFor: none, take: none },
    wake: { wake: () => Promise.resolve() },
    clock,
    random,
  });
  const request = createJobSchema.parse({
    spec: { kind: 'command', command: ['true'] },
    maxCost: String(RESERVED_NANO),
  });
  return (who) =>
    jobs.submit({
      ...who,
      actor: { as: 'tenant', organizationId: who.organizationId, projectIds: [who.projectId] },
      request,
    });
}

async function reserve(take: Reserve, tenants: readonly Tenant[], n: number): Promise<number> {
  let next = 0;
  const began = performance.now();
  const client = async (): Promise<void> => {
    for (let i = next++; i < n; i = next++) {
      const who = tenants[i % tenants.length];
      if (who) await take(who);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return Math.round(n / ((performance.now() - began) / 1_000));
}

async function renewals(
  store: Store,
  of: Holds,
  tenants: readonly Tenant[],
  n: number,
): Promise<{ cpuMs: number; cores: number }> {
  const now = systemClock.now();
  for (const who of tenants)
    await store.transaction(WORKER, async (tx) => {
      const rows = Array.from({ length: n / tenants.length }, () => running(who, now));
      await tx.insert(
        holds,
        rows.map((r) => r.parent),
      );
      await tx.insert(
        holds,
        rows.map((r) => r.part),
      );
      await tx.insert(
        leases,
        rows.map((r) => r.lease),
      );
    });
  const renew = (): Promise<number> => renewHolds({ store, holds: of, times: defaultLeaseTimes });
  await renew();
  // Each lease has run on for as long as lies between two renewals.
  if (store instanceof PgStore)
    await store.transaction(WORKER, (tx) =>
      tx.query(sql`update leases set charged_through = charged_through - interval '20 seconds' where state = 'ready'`),
    );
  const own = process.cpuUsage();
  const before = await postgresCpuMs(store);
  const renewed = await renew();
  const spent = process.cpuUsage(own);
  const cpuMs = ((spent.user + spent.system) / 1_000 + (await postgresCpuMs(store)) - before) / renewed;
  const perSecond = 10_000 / (defaultLeaseTimes.renewEveryMs / 1_000);
  return { cpuMs: round(cpuMs), cores: round((cpuMs * perSecond) / 1_000) };
}

/** CPU time of our own PostgreSQL: the parent of our connection and all its children; 0 where there is no /proc. */
export async function postgresCpuMs(store: Store): Promise<number> {
  if (!(store instanceof PgStore)) return 0;
  const [row] = await store.transaction(WORKER, (tx) => tx.query<{ pid: number }>(sql`select pg_backend_pid() as pid`));
  const stat = (pid: string): string[] | null => {
    try {
      const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
      return text.slice(text.lastIndexOf(')') + 2).split(' ');
    } catch {
      return null;
    }
  };
  const postmaster = stat(String(row?.pid ?? ''))?.[1];
  if (postmaster === undefined) return 0;
  // Fields 14 and 15 of the whole line: ticks of 10 ms.
  return (
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(stat)
      .filter((f) => f?.[1] === postmaster)
      // Those that have ended are in the sums that their parent keeps of its children.
      .concat([
        (stat(postmaster) ?? []).with(11, stat(postmaster)?.[13] ?? '0').with(12, stat(postmaster)?.[14] ?? '0'),
      ])
      .reduce((ms, f) => ms + (Number(f?.[11] ?? 0) + Number(f?.[12] ?? 0)) * 10, 0)
  );
}

function running(who: Tenant, now: number): { parent: HoldRow; part: HoldRow; lease: LeaseRow } {
  const rate = usd('2');
  const [parentId, partId, id, jobId] = [newId('hold'), newId('hold'), newId('lease'), newId('job')];
  const hold = (over: Partial<HoldRow> & Pick<HoldRow, 'id' | 'amountNano'>): HoldRow => ({
    ...who,
    parentId: null,
    jobId: null,
    leaseId: null,
    state: 'held',
    remainingNano: over.amountNano,
    createdAt: now,
    endedAt: null,
    ...over,
  });
  const lease = leaseWith({
    ...who,
    id,
    providerId: 'bench',
    jobId,
    holdId: partId,
    state: 'ready',
    attemptN: 1,
    costPerHour: rate,
    chargePerHour: rate,
    requestedAt: now,
    bootedAt: now,
    acceptedAt: now,
    chargedThrough: now,
    costThrough: now,
    stateSince: now,
  });
  return {
    parent: hold({ id: parentId, jobId, amountNano: burn(rate, 3_600_000) }),
    part: hold({ id: partId, parentId, leaseId: id, amountNano: burn(rate, defaultLeaseTimes.holdAheadMs) }),
    lease,
  };
}

const round = (n: number): number => Math.round(n * 10_000) / 10_000;
