import type { Provider } from '@nestjs/common';
import { Tenancy } from '#identity/tenancy';
import { HealthRegistry } from '#platform/observability';
import { deriveKey } from '#platform/secrets';
import { AGENT_DOOR, type AgentDoor } from './http/access.guard.js';
import { Catalog } from '#market/catalog';
import { Placements } from '#market/placement';
import { Sizing } from '#market/sizing';
import { Agents } from '#compute/agents';
import { Artifacts } from '#compute/artifacts';
import { Hosts } from '#compute/hosts';
import { Providers } from '#compute/providers';
import { Ledger, Sealer } from '#money/ledger';
import { Billing } from '#money/billing';
import { UsageEvents } from '#money/metering';
import { Credit, Quotas } from '#money/quotas';
import { EgressTally } from '#money/storage';
import { Leases } from '#compute/leases';
import { Payments } from '#money/payments';
import { VendorInvoices } from '#money/vendor-invoices';
import { Payouts } from '#money/payouts';
import { Jobs, JobWork } from '#work/jobs';
import { Quotes } from '#work/quotes';
import type { Ground } from './ground.js';
import { BELL, BROKER, STORE } from './tokens.js';

export const GROUND = Symbol('Ground');

/** The rooms' services, built on this ground. One entry per class that a controller's constructor names. */
export function services(ground: Ground): Provider[] {
  const { store, secret, clock, random } = ground;
  const tenancy = new Tenancy({ store, pepper: deriveKey(secret, 'token-pepper'), clock, random });
  const { broker, bell } = ground;
  const door: AgentDoor = { authenticate: (credential) => broker.agents.authenticate(credential) };
  return [
    { provide: GROUND, useValue: ground },
    { provide: HealthRegistry, useValue: ground.health },
    { provide: Tenancy, useValue: tenancy },
    { provide: AGENT_DOOR, useValue: door },
    { provide: STORE, useValue: store },
    { provide: BELL, useValue: bell },
    { provide: BROKER, useValue: broker },
    { provide: Catalog, useValue: broker.catalog },
    { provide: Placements, useValue: broker.placements },
    { provide: Sizing, useValue: new Sizing(broker.placements) },
    { provide: Artifacts, useValue: broker.artifacts },
    { provide: Quotes, useValue: broker.quotes },
    { provide: Jobs, useValue: broker.jobs },
    { provide: JobWork, useValue: broker.work },
    { provide: Hosts, useValue: broker.hosts },
    { provide: Providers, useValue: broker.providers },
    { provide: Ledger, useValue: broker.ledger },
    { provide: Sealer, useValue: broker.sealer },
    { provide: UsageEvents, useValue: broker.usageEvents },
    { provide: Quotas, useValue: broker.quotas },
    { provide: EgressTally, useValue: broker.egress },
    { provide: Credit, useValue: broker.credit },
    { provide: Leases, useValue: broker.leases },
    { provide: Billing, useValue: broker.billing },
    { provide: Payments, useValue: broker.payments },
    { provide: VendorInvoices, useValue: broker.vendorInvoices },
    { provide: Payouts, useValue: broker.payouts },
    { provide: Agents, useValue: broker.agents },
  ];
}
