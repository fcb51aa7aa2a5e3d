import { PgTx, sql, type Tx } from '#platform/database';
import { accounts, entries, USD, type AccountKind } from '#money/ledger';

export const revenuePeriods = ['day', 'month'] as const;
export type RevenuePeriod = (typeof revenuePeriods)[number];

/** What the broker's books say of a day or month (UTC); costs are positive, and `resultNano` is what is left. */
export interface RevenueRow {
  /** `2026-11-21` or `2026-11`. */
  readonly period: string;
  /** Charged for use, less what was credited on invoices; with what the broker bore beyond tenants' holds. */
  readonly revenueNano: bigint;
  /** Owed to providers for it: failed starts and accepted differences of their invoices are in it. */
  readonly costNano: bigint;
  readonly exposureNano: bigint;
  readonly slaCreditsNano: bigint;
  /** Revenue less cost, exposure and SLA credits. */
  readonly marginNano: bigint;
  /** Credit given away, less what expired unspent. */
  readonly creditsNano: bigint;
  /** Fees of payment processors, invoices given up, and what rounding to cents brought. */
  readonly feesNano: bigint;
  readonly lossesNano: bigint;
  readonly roundingNano: bigint;
  readonly resultNano: bigint;
}

/** Entries of a period by the kind of their account, and by what their transactions touch besides. */
interface Movement {
  readonly period: string;
  readonly kind: AccountKind;
  /** An entry on `revenue:berth` is in the transaction: what moves on payable accounts is then cost, else a payout or a dispute. */
  readonly earns: boolean;
  readonly amountNano: bigint;
}

/** Revenue and cost out of the ledger, so that they are what the trial balance moved by; periods without entries are left out. */
export async function revenueBy(
  tx: Tx,
  of: { readonly fromMs: number; readonly toMs: number; readonly by: RevenuePeriod },
): Promise<RevenueRow[]> {
  const moved = tx instanceof PgTx ? await movedInPg(tx, of) : await movedInMemory(tx, of);
  const periods = [...new Set(moved.map((m) => m.period))].sort();
  return periods.map((period) =>
    revenueRow(
      period,
      moved.filter((m) => m.period === period),
    ),
  );
}

/** Exported for its spec. */
export function revenueRow(period: string, moved: readonly Omit<Movement, 'period'>[]): RevenueRow {
  const sum = (kinds: readonly AccountKind[], which: (m: Omit<Movement, 'period'>) => boolean = () => true): bigint =>
    moved.reduce((a, m) => (kinds.includes(m.kind) && which(m) ? a + m.amountNano : a), 0n);
  const owed = ['payable', 'due', 'holdback', 'disputed'] as const;
  const vain = ['failed-starts', 'vendor-differences'] as const;
  const revenueNano = sum(['revenue', ...vain, ...owed], (m) => m.earns);
  const costNano = sum(owed, (m) => m.earns) - sum(vain, (m) => !m.earns);
  const exposureNano = -sum(['exposure']);
  const slaCreditsNano = -sum(['sla']);
  const marginNano = revenueNano - costNano - exposureNano - slaCreditsNano;
  const creditsNano = -sum(['grants', 'promotions']);
  const [feesNano, lossesNano, roundingNano] = [-sum(['fees']), -sum(['losses']), sum(['rounding'])];
  const resultNano = marginNano - creditsNano - feesNano - lossesNano + roundingNano;
  return {
    period,
    revenueNano,
    costNano,
    exposureNano,
    slaCreditsNano,
    marginNano,
    creditsNano,
    feesNano,
    lossesNano,
    roundingNano,
    resultNano,
  };
}

/** Accounts whose movements sum up to `resultNano`; the rest is what others own or owe. */
export const resultAccounts: readonly AccountKind[] = [
  'revenue',
  'failed-starts',
  'vendor-differences',
  'exposure',
  'sla',
  'grants',
  'promotions',
  'fees',
  'losses',
  'rounding',
];

type Range = Parameters<typeof revenueBy>[1];

async function movedInPg(tx: PgTx, { fromMs, toMs, by }: Range): Promise<Movement[]> {
  const [from, to] = [new Date(fromMs).toISOString(), new Date(toMs).toISOString()];
  const rows = await tx.query<{ period: string; kind: AccountKind; earns: boolean; amount: string }>(
    sql`with moved as (
          select e.transaction_id, e.amount_nano, a.kind,
            to_char(e.at at time zone 'UTC', ${by === 'day' ? 'YYYY-MM-DD' : 'YYYY-MM'}) as period,
            bool_or(a.kind = 'revenue') over (partition by e.transaction_id) as earns
          from ledger_entries e join ledger_accounts a on a.id = e.account_id
          where e.at >= ${from} and e.at < ${to} and e.currency = ${USD}
        )
        select period, kind, earns, sum(amount_nano)::text as amount from moved group by 1, 2, 3`,
  );
  return rows.map(({ amount, ...row }) => ({ ...row, amountNano: BigInt(amount) }));
}

async function movedInMemory(tx: Tx, { fromMs, toMs, by }: Range): Promise<Movement[]> {
  const kindOf = new Map((await tx.find(accounts, {})).map((a) => [a.id, a.kind]));
  const list = (await tx.find(entries, { at: { gte: fromMs }, currency: USD })).filter((e) => e.at < toMs);
  const touched = new Map<string, Set<AccountKind | undefined>>();
  for (const e of list) {
    const kinds = touched.get(e.transactionId) ?? new Set();
    touched.set(e.transactionId, kinds.add(kindOf.get(e.accountId)));
  }
  return list.flatMap((e) => {
    const kind = kindOf.get(e.accountId);
    if (kind === undefined) return [];
    const period = new Date(e.at).toISOString().slice(0, by === 'day' ? 10 : 7);
    const earns = touched.get(e.transactionId)?.has('revenue') ?? false;
    return [{ period, kind, earns, amountNano: e.amountNano }];
  });
}
