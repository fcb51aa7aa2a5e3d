import type { Clock, Random } from '#kernel';
import type { PaymentPort } from '#contracts';
import { Outbox, type Store } from '#platform/database';
import { Awake, ReconcileLoop, type LoopReport, type WakeQueue } from '#platform/reconcile';
import { Ledger, Sealer } from '#money/ledger';
import { Credit, Holds, Quotas } from '#money/quotas';
import { Metering, UsageEvents } from '#money/metering';
import { invoicesOf, Payments } from '#money/payments';
import { Billing, defaultBillingSettings, manualRate, type BillingSettings } from '#money/billing';
import { VendorInvoices } from '#money/vendor-invoices';
import { CommitmentReconciler } from '#money/commitments';
import { Payouts } from '#money/payouts';
import { Prices } from '#money/rating';
import { EgressTally, Storage } from '#money/storage';
import { Catalog } from '#market/catalog';
import { Reservations } from '#market/reservations';
import { Placements, type PlacementTimes } from '#market/placement';
import { Agents, type AgentRow, type AgentSecrets } from '#compute/agents';
import { Artifacts, keptFiles, type ObjectBytes } from '#compute/artifacts';
import { Hosts } from '#compute/hosts';
import {
  defaultLeaseTimes,
  LeaseReconciler,
  leases,
  Leases,
  renewHolds,
  vendorMachines,
  type LeaseTimes,
} from '#compute/leases';
import { Providers, providersToPay, Vendors } from '#compute/providers';
import { Quotes } from '#work/quotes';
import { fileNeededBy, JobReconciler, Jobs, JobWork } from '#work/jobs';
import { subjectProjects } from './subject-projects.js';

/** What the outside gives; the simulator gives fakes of the same shape. */
export interface BrokerParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly objects: ObjectBytes;
  readonly secrets: AgentSecrets;
  readonly wake: WakeQueue;
  readonly ring: (agentId: string) => void;
  readonly report: LoopReport;
  readonly vendors: Vendors;
  readonly installId: string;
  readonly brokerUrl: string;
  readonly leaseTimes?: Partial<LeaseTimes>;
  /** How long a row is overdue before it is driven past the queue. */
  readonly pastTheQueueAfterMs?: number;
  readonly placementTimes?: Partial<PlacementTimes>;
  readonly billingSettings?: Partial<BillingSettings>;
  /** Null or absent: no cards are taken. */
  readonly payments?: PaymentPort | null;
}

/** Every room of the broker, wired once: api, worker, specs, benches and the simulator run this same composition. */
export interface Broker {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly sealer: Sealer;
  readonly holds: Holds;
  readonly quotas: Quotas;
  readonly credit: Credit;
  readonly metering: Metering;
  readonly usageEvents: UsageEvents;
  readonly prices: Prices;
  readonly billing: Billing;
  readonly payments: Payments;
  readonly vendorInvoices: VendorInvoices;
  readonly payouts: Payouts;
  readonly storage: Storage;
  /** What this process sends of tenants' files; to be flushed every few seconds. */
  readonly egress: EgressTally;
  readonly catalog: Catalog;
  readonly placements: Placements;
  readonly agents: Agents;
  readonly artifacts: Artifacts;
  readonly hosts: Hosts;
  readonly providers: Providers;
  readonly vendors: Vendors;
  readonly leases: Leases;
  readonly leaseTimes: LeaseTimes;
  readonly quotes: Quotes;
  readonly jobs: Jobs;
  readonly work: JobWork;
  readonly loop: ReconcileLoop;
  /** Renews the holds of running leases; to be called every `leaseTimes.renewEveryMs`. */
  readonly renewHolds: () => Promise<number>;
  /** Beaten by whoever judges the silence of others: the workers. */
  readonly awake: Awake;
  /** What an enrolment sets going: a host becomes ready, a lease looks again. */
  onEnrolled(tx: Parameters<Hosts['enrolled']>[0], agent: AgentRow): Promise<void>;
}

export function composeBroker(p: BrokerParts): Broker {
  const { store, clock, random, wake } = p;
  const leaseTimes: LeaseTimes = { ...defaultLeaseTimes, ...p.leaseTimes };
  const awake = new Awake(clock, leaseTimes.agentSilenceMs / 3);
  const ledger = new Ledger(clock, random);
  const holds = new Holds(ledger, clock, random);
  const quotas = new Quotas(clock, random);
  const metering = new Metering(holds, clock, random);
  const outbox = new Outbox(store, random);
  const billingSettings = { ...defaultBillingSettings, ...p.billingSettings };
  const billing = new Billing(
    {
      store,
      clock,
      random,
      ledger,
      outbox,
      settings: billingSettings,
      tax: manualRate,
    },
    p.objects,
  );
  const payments = new Payments({
    store,
    ledger,
    invoices: invoicesOf(billing),
    wake,
    clock,
    random,
    port: p.payments ?? null,
  });
  const payouts = new Payouts({
    store,
    ledger,
    outbox,
    providers: providersToPay,
    wake,
    clock,
    random,
    settings: billingSettings,
    port: p.payments ?? null,
  });
  payments.onEvent(payouts.onEvent);
  const prices = new Prices(clock, random);
  const catalog = new Catalog();
  const agents = new Agents(store, p.secrets, clock, random);
  const artifacts = new Artifacts(store, p.objects, clock, random, quotas, fileNeededBy);
  const providers = new Providers(ledger, clock, random);
  const hosts = new Hosts(store, agents, catalog, clock, random, {
    agentSilenceMs: leaseTimes.agentSilenceMs,
    awake,
  });
  const placementTimes = { rentableTtlMs: 1_000, marketTtlMs: 60_000, ...p.placementTimes };
  const placements = new Placements(store, catalog, clock, random, placementTimes, (tx, peers) =>
    hosts.toFill(tx, peers),
  );
  const leasesOf = new Leases(holds, metering, quotas, new Reservations(clock, random), clock, random, leaseTimes);
  const quotes = new Quotes({ store, placements, providers, prices, clock, random });
  const jobs = new Jobs({
    store,
    artifacts,
    holds,
    wake,
    clock,
    random,
    prices,
    quotes,
    estimator: {
      estimate: async (request) => {
        const found = await placements.estimate(request);
        if ('why' in found) return found;
        const basis = await providers.estimatedBasis(store, found.offer.providerId);
        const { organizationId, projectId } = request;
        return { ...found, terms: await prices.estimate(store, { organizationId, projectId, ...basis }) };
      },
    },
  });
  const work = new JobWork({ store, leases: leasesOf, metering, hosts, wake, clock });
  const leaseReconciler = new LeaseReconciler({
    store,
    vendors: p.vendors,
    leases: leasesOf,
    agents,
    holds,
    ledger,
    disputes: payouts.disputes,
    wake,
    clock,
    random,
    installId: p.installId,
    brokerUrl: p.brokerUrl,
    awake,
  });
  const jobReconciler = new JobReconciler({
    store,
    leases: leasesOf,
    providers,
    prices,
    quotes,
    holds,
    placer: placements,
    wake,
    ring: p.ring,
    clock,
  });
  const invoiceReconciler = billing.reconciler((organizationId) => jobs.cancelAll(organizationId));
  const storage = new Storage({ store, ledger, prices, quotas, files: keptFiles, clock, random });
  const commitmentReconciler = new CommitmentReconciler({ store, ledger, quotas, clock, random });
  return {
    store,
    ledger,
    sealer: new Sealer(store),
    holds,
    quotas,
    credit: new Credit(store, ledger, random),
    metering,
    usageEvents: new UsageEvents(store, clock, random, subjectProjects),
    billing,
    payments,
    payouts,
    storage,
    egress: new EgressTally(store, clock, random),
    prices,
    vendorInvoices: new VendorInvoices({ store, ledger, machines: vendorMachines, clock, random }),
    catalog,
    placements,
    agents,
    artifacts,
    hosts,
    providers,
    vendors: p.vendors,
    leases: leasesOf,
    leaseTimes,
    quotes,
    jobs,
    work,
    renewHolds: () => renewHolds({ store, holds, times: leaseTimes }),
    awake,
    loop: new ReconcileLoop(
      store,
      wake,
      [
        leaseReconciler,
        jobReconciler,
        invoiceReconciler,
        commitmentReconciler,
        storage,
        ...payments.reconcilers,
        ...payouts.reconcilers,
      ],
      p.report,
      p.pastTheQueueAfterMs,
    ),
    onEnrolled: async (tx, agent) => {
      await hosts.enrolled(tx, agent);
      const { leaseId } = agent;
      if (leaseId === null) return;
      // The lease's wake time moves up with its version, so that no reconcile in progress writes over it.
      await tx.update(
        leases,
        { id: leaseId, state: { in: ['provisioning', 'booting'] } },
        { wakeAt: await tx.now(), version: { add: 1 } },
      );
      tx.afterCommit(() => wake.wake('lease', leaseId).catch(() => undefined));
    },
  };
}
