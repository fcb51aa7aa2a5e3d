import * as artifacts from '#compute/artifacts';
import * as agents from '#compute/agents';
import * as hosts from '#compute/hosts';
import * as leases from '#compute/leases';
import * as orphans from '#compute/orphans';
import * as providers from '#compute/providers';
import * as audit from '#identity/audit';
import * as tenancy from '#identity/tenancy';
import * as catalog from '#market/catalog';
import * as placement from '#market/placement';
import * as reliability from '#market/reliability';
import * as reservations from '#market/reservations';
import * as speeds from '#market/speeds';
import * as billing from '#money/billing';
import * as ledger from '#money/ledger';
import * as metering from '#money/metering';
import * as payments from '#money/payments';
import * as payouts from '#money/payouts';
import * as quotas from '#money/quotas';
import * as rating from '#money/rating';
import * as storage from '#money/storage';
import * as vendorInvoices from '#money/vendor-invoices';
import * as database from '#platform/database';
import * as reconcile from '#platform/reconcile';
import * as jobs from '#work/jobs';
import * as quotes from '#work/quotes';

/** A definition as the check needs it, whatever its rows. */
export interface AnyTable {
  readonly name: string;
  readonly columns: Readonly<Record<string, database.ColumnKind>>;
  readonly key: readonly string[];
  readonly unique: readonly (readonly string[])[];
}

/** Rooms that keep rows; a spec compares with the sources, so that none is forgotten. */
const rooms = [
  artifacts,
  agents,
  hosts,
  leases,
  orphans,
  providers,
  audit,
  tenancy,
  catalog,
  placement,
  reliability,
  reservations,
  speeds,
  billing,
  ledger,
  metering,
  payments,
  payouts,
  quotas,
  rating,
  storage,
  vendorInvoices,
  database,
  reconcile,
  quotes,
  jobs,
];

function isTable(value: unknown): value is AnyTable {
  return typeof value === 'object' && value !== null && 'columns' in value && 'key' in value && 'unique' in value;
}

/** Every table definition that a room shows, by name. */
export const tables: readonly AnyTable[] = rooms
  .flatMap((room) => Object.values(room as Record<string, unknown>).filter(isTable))
  .sort((a, b) => (a.name < b.name ? -1 : 1));
