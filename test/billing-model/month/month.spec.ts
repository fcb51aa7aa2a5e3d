import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newId, SeededRandom, usd } from '#kernel';
import { BROKER } from '#identity/audit';
import { projects } from '#identity/tenancy';
import { Outbox, WORKER } from '#platform/database';
import { account, accounts } from '#money/ledger';
import { usageRecords } from '#money/metering';
import { Billing, defaultBillingSettings, manualRate, type InvoiceRow } from '#money/billing';
import { Payouts, type ProviderToPay } from '#money/payouts';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import {
  liveTheMonth,
  LONGEST_PROBE_S,
  MARGIN_BPS,
  MONTH_END,
  MONTH_START,
  PAYOUT_TERMS,
  recordedLeases,
  TAX_BPS,
} from './replay.js';

interface Total {
  side: 'tenant' | 'provider';
  name: string;
  nano: string;
  cents: string;
  tax_cents: string;
  /** Project x machine x kind of provider. */
  lines: number;
  /** Kept back of what a provider earned, and paid out. */
  kept_nano: string;
  payout_cents: string;
}

const leases = recordedLeases();
const sorted = (names: Iterable<string>): string[] => [...new Set(names)].sort();
const tenants = sorted(leases.map((l) => l.organization));
const providers = sorted(leases.map((l) => l.provider));
/** Every other tenant pays afterwards. */
const paysAfterwards = (name: string): boolean => Number(name.slice(1)) % 2 === 0;

/** A month of leases is too much for the store in memory, which looks at every row. */
function onPostgres(): Promise<SpecStore> {
  const kind = specStores.find((k) => k.name === 'PostgreSQL');
  if (!kind) throw new Error('PostgreSQL is needed');
  return kind.open();
}

/** What SQL makes of the record, by itself. */
async function independent(): Promise<Total[]> {
  const opened = await onPostgres();
  if (!opened.postgres) throw new Error('PostgreSQL is needed');
  const { owner } = opened.postgres;
  try {
    await owner.query(`create temporary table recorded (pod int, organization text, project text, provider text, provider_kind text,
      sku text, gpu text, gpus int, cost_per_hour_nano numeric, start_s bigint, end_s bigint)`);
    await owner.query(
      `insert into recorded select (r ->> 'pod')::int, r ->> 'organization', r ->> 'project', r ->> 'provider', r ->> 'provider_kind',
        r ->> 'sku', r ->> 'gpu', (r ->> 'gpus')::int, (r ->> 'cost')::numeric, (r ->> 'start_s')::bigint, (r ->> 'end_s')::bigint
       from jsonb_array_elements($1::jsonb) as r`,
      [JSON.stringify(leases.map(({ cost_per_hour_nano, ...l }) => ({ ...l, cost: String(cost_per_hour_nano) })))],
    );
    const { rows } = await owner.query<Total>(readFileSync(join(import.meta.dirname, 'totals.sql'), 'utf8'), [
      new Date(MONTH_START),
      new Date(MONTH_END),
      JSON.stringify(TAX_BPS),
      JSON.stringify(MARGIN_BPS),
      LONGEST_PROBE_S,
      JSON.stringify(PAYOUT_TERMS),
    ]);
    return rows;
  } finally {
    await opened.close();
  }
}

function billingOf({ clock }: SpecStore, till: Till): Billing {
  const random = new SeededRandom('billing of a closed month');
  const { store, ledger } = till;
  const outbox = new Outbox(store, random);
  const settings = defaultBillingSettings;
  const nowhere = { put: () => Promise.resolve(), get: () => Promise.reject(new Error('no documents here')) };
  return new Billing({ store, clock, random, ledger, outbox, settings, tax: manualRate }, nowhere);
}

/** Payouts to the providers of the record; they hang on an organization of their own. */
function payoutsOf({ clock }: SpecStore, till: Till, known: ReadonlyMap<string, ProviderToPay>): Payouts {
  const random = new SeededRandom('payouts of a closed month');
  const { store, ledger } = till;
  return new Payouts({
    store,
    ledger,
    outbox: new Outbox(store, random),
    providers: { get: (_, id) => Promise.resolve(known.get(id) ?? null) },
    wake: { wake: () => Promise.resolve() },
    clock,
    random,
    settings: defaultBillingSettings,
    port: null,
  });
}

describe('a closed month', () => {
  let wanted: Total[];
  beforeAll(async () => {
    wanted = await independent();
    expect(wanted.filter((t) => t.side === 'tenant').map((t) => t.name)).toEqual(tenants);
  });

  describe('replayed', () => {
    let opened: SpecStore;
    let till: Till;
    let billing: Billing;
    const organizationOf = new Map<string, string>();
    const providerOf = new Map<string, string>();
    const issued = new Map<string, InvoiceRow>();
    const payees = new Map<string, ProviderToPay>();

    beforeAll(async () => {
      opened = await onPostgres();
      till = await openTill(opened, new SeededRandom('a closed month'));
      billing = billingOf(opened, till);
      const cast = new Map<string, Tenant>();
      for (const name of tenants) await enter(name, cast);
      for (const name of providers) providerOf.set(name, await supply(name));
      await liveTheMonth(till, { projects: cast, providers: providerOf }, leases);
      for (const name of tenants) issued.set(name, await issue(name));
    });
    afterAll(() => opened.close());

    /** A provider of the record, as the product knows it. */
    async function supply(name: string): Promise<string> {
      const id = await till.provider();
      const kind = leases.find((l) => l.provider === name)?.provider_kind ?? 'hyperscaler';
      const { organizationId } = await till.tenant('0');
      await opened.postgres?.owner.query('alter table providers no force row level security');
      await opened.postgres?.owner.query(
        `insert into providers (id, organization_id, name, kind, adapter, state, margin_bps, settings, created_at)
         values ($1, $2, $3, $4, 'recorded', 'active', 0, '{}', now())`,
        [id, organizationId, name, kind],
      );
      payees.set(id, { id, organizationId, name, kind, registered: false });
      return id;
    }

    async function enter(name: string, cast: Map<string, Tenant>): Promise<void> {
      const first = await till.tenant(paysAfterwards(name) ? '0' : '250000');
      const { organizationId } = first;
      organizationOf.set(name, organizationId);
      cast.set(`${name}/p1`, first);
      const projectId = newId('project', opened.clock.now(), new SeededRandom(`project 2 of ${name}`));
      cast.set(`${name}/p2`, { organizationId, projectId });
      const id = account.credit(organizationId);
      await till.tx(async (tx) => {
        await tx.insert(projects, { id: projectId, organizationId, name: 'second', createdAt: opened.clock.now() });
        await till.ledger.open(tx, [{ id, kind: 'credit', organizationId }]);
        if (paysAfterwards(name)) await tx.update(accounts, { id }, { creditLimitNano: usd('250000') });
      });
    }

    async function issue(name: string): Promise<InvoiceRow> {
      const organizationId = organizationOf.get(name) ?? '';
      const taxRateBps = TAX_BPS[name];
      if (taxRateBps !== undefined)
        await billing.profiles.set(
          organizationId,
          { name, address: [], email: null, taxId: null, taxLabel: 'VAT', taxRateBps, netDays: null },
          BROKER,
        );
      await billing.ensureDraft(organizationId, MONTH_START);
      const [draft] = await billing.listAll({ organizationId }, { limit: 1 });
      if (!draft) throw new Error(`no draft for ${name}`);
      return billing.issueNow(draft.id, BROKER);
    }

    const wantedOf = (side: Total['side'], name: string): Total => {
      const total = wanted.find((t) => t.side === side && t.name === name);
      if (!total) throw new Error(`SQL knows no ${side} ${name}`);
      return total;
    };

    it.each(tenants)('comes to the invoice that SQL makes of the record, to the cent: %s', async (name) => {
      const invoice = issued.get(name);
      const total = wantedOf('tenant', name);
      const [net, tax] = [BigInt(total.cents), BigInt(total.tax_cents)];
      expect(net > 10_000n).toBe(true);
      expect(invoice).toMatchObject({
        state: paysAfterwards(name) ? 'open' : 'paid',
        usageNano: BigInt(total.nano),
        usageCents: net,
        taxCents: tax,
        totalCents: net + tax,
        dueCents: paysAfterwards(name) ? net + tax : 0n,
      });
      const { lines } = await billing.get(WORKER, invoice?.id ?? '');
      expect(lines).toHaveLength(total.lines);
      expect(new Set(lines.map((l) => l.providerClass)).size).toBeGreaterThan(1);
      expect(lines.reduce((n, l) => n + l.cents, 0n)).toBe(net);
    });

    it('owes each provider what SQL makes of the record, to the nano-dollar', async () => {
      const used = await till.tx((tx) => tx.find(usageRecords, { side: 'cost' }));
      for (const [name, providerId] of providerOf) {
        const own = used.filter((u) => u.providerId === providerId && u.toAt <= MONTH_END);
        expect([name, own.reduce((n, u) => n + u.amountNano, 0n)]).toEqual([
          name,
          BigInt(wantedOf('provider', name).nano),
        ]);
      }
    });

    it.each(providers)('pays out what SQL makes of the record, to the cent: %s', async (name) => {
      const providerId = providerOf.get(name) ?? '';
      const payouts = payoutsOf(opened, till, payees);
      const total = wantedOf('provider', name);
      const { made, failed } = await payouts.run(MONTH_START, BROKER, providerId);
      const [kept, paid] = [BigInt(total.kept_nano), BigInt(total.payout_cents)];
      expect(failed).toEqual([]);
      expect(paid > 0n).toBe(true);
      expect(made).toMatchObject([
        { accruedNano: BigInt(total.nano), heldBackNano: kept, payoutCents: paid, closingCents: 0n },
      ]);
      const { lines } = await payouts.statements.get(WORKER, made[0]?.id ?? '');
      const earned = lines.filter((l) => l.kind === 'accrual');
      expect(earned.reduce((n, l) => n + l.amountNano, 0n)).toBe(BigInt(total.nano));
      expect(lines.reduce((n, l) => n + l.cents, 0n)).toBe(0n);
      const set = await payouts.disbursing.list(WORKER, { providerId }, { limit: 2 });
      expect(set).toMatchObject([{ state: 'proposed', amountCents: paid }]);
    });

    it('leaves the books in agreement', () => till.audit());
  });
});
