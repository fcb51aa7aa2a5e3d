import { newId, SeededRandom, usd } from '#kernel';
import { WORKER, type Store, type Tx } from '#platform/database';
import { organizations, projects } from '#identity/tenancy';
import { account, accounts, balancesBefore, entries, Ledger, Sealer, transactions, unsealed } from '#money/ledger';
import { Metering, usageRecords } from '#money/metering';
import { Credit, holds, Holds, Quotas } from '#money/quotas';
import type { SpecStore } from '#testing';

export interface Tenant {
  readonly organizationId: string;
  readonly projectId: string;
}

/** The money rooms on one store, for specs. */
export interface Till {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly sealer: Sealer;
  readonly holds: Holds;
  readonly quotas: Quotas;
  readonly credit: Credit;
  readonly metering: Metering;
  /** A new organization with one project and that much credit ("0": no account yet). */
  tenant(dollars: string): Promise<Tenant>;
  /** A new provider's payable account; returns the provider's id. */
  provider(): Promise<string>;
  tx<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** Throws unless every book of the till agrees with every other. */
  audit(): Promise<void>;
}

/** Tills that share a store need each their own `random`: ids come from it. */
export async function openTill(
  { store, clock }: Pick<SpecStore, 'store' | 'clock'>,
  random = new SeededRandom('till'),
): Promise<Till> {
  const ledger = new Ledger(clock, random);
  const holdsOf = new Holds(ledger, clock, random);
  const tx = <T>(work: (t: Tx) => Promise<T>): Promise<T> => store.transaction(WORKER, work);
  await tx((t) => ledger.openOwn(t));
  return {
    store,
    ledger,
    sealer: new Sealer(store),
    holds: holdsOf,
    quotas: new Quotas(clock, random),
    credit: new Credit(store, ledger, random),
    metering: new Metering(holdsOf, clock, random),
    tx,
    async tenant(dollars) {
      const organizationId = newId('organization', clock.now(), random);
      const projectId = newId('project', clock.now(), random);
      const createdAt = clock.now();
      await tx(async (t) => {
        const name = `tenant ${organizationId}`;
        await t.insert(organizations, { id: organizationId, name, kind: 'tenant', state: 'active', createdAt });
        await t.insert(projects, { id: projectId, organizationId, name: 'default', createdAt });
        if (usd(dollars) > 0n) await ledger.credit(t, organizationId, usd(dollars), 'grant', `grant:${organizationId}`);
      });
      return { organizationId, projectId };
    },
    async provider() {
      const id = newId('provider', clock.now(), random);
      await tx((t) => ledger.open(t, [{ id: account.payable(id), kind: 'payable', organizationId: null }]));
      return id;
    },
    audit: () => tx(auditBooks),
  };
}

/** What each account's sealed entries sum up to. */
async function sealedSums(tx: Tx): Promise<Map<string, bigint>> {
  const waiting = new Set((await tx.find(unsealed, {})).map((u) => u.transactionId));
  const sums = new Map<string, bigint>();
  for (const e of await tx.find(entries, {}))
    if (!waiting.has(e.transactionId)) sums.set(e.accountId, (sums.get(e.accountId) ?? 0n) + e.amountNano);
  return sums;
}

/** The sums that must agree whatever happened: between accounts, entries, holds and usage. */
async function auditBooks(tx: Tx): Promise<void> {
  // What folded accounts have not been moved by yet counts as if they had.
  const exact = await balancesBefore(tx, null);
  const sealed = await sealedSums(tx);
  const stored = await tx.find(accounts, {});
  const all = stored.map((a) => (a.folded ? { ...a, balanceNano: exact.get(a.id) ?? 0n } : a));
  const wrong: string[] = [];
  const expectSame = (what: string, got: bigint, want: bigint): void => {
    if (got !== want) wrong.push(`${what}: ${got}, should be ${want}`);
  };
  const posted = new Map<string, bigint>();
  // What a bank takes back may have been spent.
  const gone = new Map<string, bigint>();
  const kinds = { in: ['chargeback', 'refund-elsewhere'] } as const;
  const byBanks = new Set((await tx.find(transactions, { kind: kinds })).map((t) => t.id));
  for (const e of await tx.find(entries, {}))
    if (byBanks.has(e.transactionId) && e.amountNano < 0n)
      gone.set(e.accountId, (gone.get(e.accountId) ?? 0n) - e.amountNano);
  for (const e of await tx.find(entries, {})) posted.set(e.accountId, (posted.get(e.accountId) ?? 0n) + e.amountNano);
  const open = new Map<string, bigint>();
  for (const h of await tx.find(holds, {})) {
    if (h.state !== 'held') expectSame(`what remains in the ended ${h.id}`, h.remainingNano, 0n);
    open.set(h.organizationId, (open.get(h.organizationId) ?? 0n) + h.remainingNano);
  }
  for (const a of all) expectSame(`balance of ${a.id}`, a.balanceNano, posted.get(a.id) ?? 0n);
  for (const a of stored) {
    if (a.folded) expectSame(`balance of ${a.id} as of the last seal`, a.balanceNano, sealed.get(a.id) ?? 0n);
    expectSame(`available + held of ${a.id}`, a.availableNano + a.heldNano, a.balanceNano);
    if (a.kind === 'credit') expectSame(`held of ${a.id}`, a.heldNano, open.get(a.organizationId ?? '') ?? 0n);
    const lowest = -a.creditLimitNano - (gone.get(a.id) ?? 0n);
    if (a.bounded && a.availableNano < lowest) wrong.push(`${a.id} is oversold by ${-a.availableNano}`);
  }
  expectSame(
    'sum over all accounts',
    all.reduce((n, a) => n + a.balanceNano, 0n),
    0n,
  );
  const used = await tx.find(usageRecords, {});
  const usageOf = (side: 'charge' | 'cost'): bigint =>
    used.reduce((n, r) => (r.side === side ? n + r.amountNano : n), 0n);
  if (used.length > 0) {
    const usage = new Set((await tx.find(transactions, { kind: 'usage' })).map((t) => t.id));
    const drawn = (await tx.find(entries, {})).filter((e) => usage.has(e.transactionId));
    const drawnFrom = (kind: string): bigint =>
      drawn.reduce((n, e) => (e.accountId.startsWith(`${kind}:`) ? n + e.amountNano : n), 0n);
    expectSame('usage charged', usageOf('charge'), -drawnFrom('credit'));
    expectSame('usage owed to providers', usageOf('cost'), drawnFrom('payable'));
  }
  if (wrong.length > 0) throw new Error(`the books do not agree:\n  ${wrong.join('\n  ')}`);
}
