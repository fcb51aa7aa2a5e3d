import type { Type } from '@nestjs/common';
import { routesOf } from './http/serve.js';
import { OrganizationsController } from './rooms/organizations.controller.js';
import { ProjectsController } from './rooms/projects.controller.js';
import { KeysController } from './rooms/keys.controller.js';
import { OffersController } from './rooms/market/offers.controller.js';
import { PlacementsController } from './rooms/market/placements.controller.js';
import { QuotesController } from './rooms/market/quotes.controller.js';
import { ArtifactsController } from './rooms/artifacts.controller.js';
import { JobsController } from './rooms/jobs.controller.js';
import { LeasesController } from './rooms/leases.controller.js';
import { HostsController } from './rooms/hosts.controller.js';
import { UsageController } from './rooms/money/usage.controller.js';
import { MoneyController } from './rooms/money/money.controller.js';
import { InvoicesController } from './rooms/money/invoices.controller.js';
import { AdminInvoicesController } from './rooms/money/admin-invoices.controller.js';
import { LedgerController } from './rooms/money/ledger.controller.js';
import { PricesController } from './rooms/money/prices.controller.js';
import { UsageEventsController } from './rooms/money/usage-events.controller.js';
import { RevenueController } from './rooms/money/revenue.controller.js';
import { VendorInvoicesController } from './rooms/money/vendor-invoices.controller.js';
import { SizingController } from './rooms/market/sizing.controller.js';
import { AuditController } from './rooms/audit.controller.js';
import { QuotasController } from './rooms/money/quotas.controller.js';
import { PaymentsController } from './rooms/money/payments.controller.js';
import { ClosingsController } from './rooms/money/closings.controller.js';
import { PayoutsController } from './rooms/money/payouts.controller.js';
import { AdminPayoutsController } from './rooms/money/admin-payouts.controller.js';
import { OrphansController } from './rooms/orphans.controller.js';
import { ProvidersController } from './rooms/providers.controller.js';
import { CatalogImportsController } from './rooms/market/catalog-imports.controller.js';
import { QuarantineController } from './rooms/market/quarantine.controller.js';
import { ReservationsController } from './rooms/market/reservations.controller.js';
import { AgentController } from './rooms/agent.controller.js';
import { SystemController } from './rooms/system.controller.js';
import { DocumentController } from './rooms/document.controller.js';

/** Every controller, in the order of the API guide's chapters. */
export const controllers: readonly Type[] = [
  OrganizationsController,
  ProjectsController,
  KeysController,
  OffersController,
  PlacementsController,
  QuotesController,
  SizingController,
  ArtifactsController,
  JobsController,
  LeasesController,
  HostsController,
  UsageController,
  MoneyController,
  UsageEventsController,
  LedgerController,
  InvoicesController,
  AdminInvoicesController,
  QuotasController,
  PaymentsController,
  ClosingsController,
  PayoutsController,
  AdminPayoutsController,
  PricesController,
  RevenueController,
  VendorInvoicesController,
  AuditController,
  OrphansController,
  ProvidersController,
  QuarantineController,
  ReservationsController,
  CatalogImportsController,
  AgentController,
  SystemController,
  DocumentController,
];

/** All routes of the API as data. */
export const routes = () => routesOf(controllers);
