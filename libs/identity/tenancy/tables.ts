import { table } from '#platform/database';
import type { OrganizationKind, OrganizationState, Role } from './principal.js';

export interface InstallRow {
  readonly id: string;
  /** Always true and unique: there is one row. */
  readonly singleton: boolean;
  readonly createdAt: number;
}

export interface OrganizationRow {
  readonly id: string;
  readonly name: string;
  readonly kind: OrganizationKind;
  readonly state: OrganizationState;
  readonly createdAt: number;
}

export interface ProjectRow {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly createdAt: number;
}

export interface ApiKeyRow {
  readonly id: string;
  readonly organizationId: string;
  /** Null: the whole organization. */
  readonly projectId: string | null;
  readonly name: string;
  readonly role: Role;
  /** The part of the secret that may be shown. */
  readonly prefix: string;
  /** HMAC of the secret; the secret itself is nowhere. */
  readonly hash: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  readonly lastUsedAt: number | null;
}

/** One creating request under the key that the caller gave it; `status` is null while it runs. */
export interface IdempotencyRow {
  readonly organizationId: string;
  readonly key: string;
  readonly route: string;
  readonly bodyHash: string;
  readonly status: number | null;
  /** The answer, sealed: it may hold a secret that is shown once. */
  readonly response: string | null;
  /** When the run that owns the row began; also what a late run is recognised by. */
  readonly createdAt: number;
}

export const installs = table<InstallRow>(
  'installs',
  { id: 'text', singleton: 'bool', createdAt: 'time' },
  { key: ['id'], unique: [['singleton']] },
);

export const organizations = table<OrganizationRow>(
  'organizations',
  { id: 'text', name: 'text', kind: 'text', state: 'text', createdAt: 'time' },
  { key: ['id'] },
);

export const projects = table<ProjectRow>(
  'projects',
  { id: 'text', organizationId: 'text', name: 'text', createdAt: 'time' },
  { key: ['id'], unique: [['organizationId', 'name']] },
);

export const apiKeys = table<ApiKeyRow>(
  'api_keys',
  {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    name: 'text',
    role: 'text',
    prefix: 'text',
    hash: 'text',
    createdAt: 'time',
    expiresAt: 'time',
    revokedAt: 'time',
    lastUsedAt: 'time',
  },
  { key: ['id'], unique: [['hash']] },
);

export const idempotencyKeys = table<IdempotencyRow>(
  'idempotency_keys',
  {
    organizationId: 'text',
    key: 'text',
    route: 'text',
    bodyHash: 'text',
    status: 'int',
    response: 'json',
    createdAt: 'time',
  },
  { key: ['organizationId', 'key'] },
);
