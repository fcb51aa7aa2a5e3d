export {
  ORGANIZATION_KINDS,
  ORGANIZATION_STATES,
  ROLES,
  principalOf,
  withinOrganization,
  type OrganizationKind,
  type OrganizationState,
  type Principal,
  type Role,
} from './principal.js';
export {
  apiKeys,
  idempotencyKeys,
  installs,
  organizations,
  projects,
  type ApiKeyRow,
  type IdempotencyRow,
  type InstallRow,
  type OrganizationRow,
  type ProjectRow,
} from './tables.js';
export { forgetOldIdempotencyKeys, IDEMPOTENCY_KEPT_MS } from './idempotency-sweep.js';
export type { Install } from './install.js';
export type { IssuedKey } from './key-ring.js';
export {
  Tenancy,
  type CreatedOrganization,
  type InSameTransaction,
  type NewKey,
  type NewOrganization,
  type PageOrder,
} from './tenancy.service.js';
