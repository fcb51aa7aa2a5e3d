import type { Actor } from '#platform/database';

export const ORGANIZATION_KINDS = ['tenant', 'provider', 'platform'] as const;
export type OrganizationKind = (typeof ORGANIZATION_KINDS)[number];

export const ORGANIZATION_STATES = ['active', 'suspended'] as const;
export type OrganizationState = (typeof ORGANIZATION_STATES)[number];

/**
 * member: reads and writes the work of one project. admin: all projects and keys of a tenant.
 * provider-operator: hosts and providers of a provider organization. platform-admin: the whole installation.
 */
export const ROLES = ['member', 'admin', 'provider-operator', 'platform-admin'] as const;
export type Role = (typeof ROLES)[number];

/** Which kind of organization a role belongs to. */
export const KIND_OF_ROLE: Readonly<Record<Role, OrganizationKind>> = {
  member: 'tenant',
  admin: 'tenant',
  'provider-operator': 'provider',
  'platform-admin': 'platform',
};

/** Who makes a request, and what row-level security will let that one see. */
export interface Principal {
  readonly keyId: string;
  readonly organizationId: string;
  readonly organizationKind: OrganizationKind;
  readonly projectIds: readonly string[] | 'all';
  readonly role: Role;
  readonly actor: Actor;
}

/** What a key stands for. A platform administrator acts past row-level security; everybody else is bound by it. */
export function principalOf(
  key: { readonly id: string; readonly organizationId: string; readonly projectId: string | null; readonly role: Role },
  organizationKind: OrganizationKind,
): Principal {
  const projectIds = key.projectId === null ? 'all' : [key.projectId];
  const { organizationId, role } = key;
  const actor: Actor = role === 'platform-admin' ? { as: 'worker' } : { as: 'tenant', organizationId, projectIds };
  return { keyId: key.id, organizationId, organizationKind, projectIds, role, actor };
}

/**
 * Narrows a filter to one organization for everybody but a platform administrator: the first of the two fences around
 * a tenant's rows, row-level security being the second.
 */
export function withinOrganization(who: Principal): { organizationId?: string } {
  return who.role === 'platform-admin' ? {} : { organizationId: who.organizationId };
}
