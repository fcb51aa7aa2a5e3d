import { DomainError } from '#kernel';

/** One sentence for every key that is not ours, so that nothing is told about which part was wrong. */
export function invalidKey(): DomainError {
  return new DomainError('unauthenticated', 'invalid-key', 'This API key is not known here.', {
    fix: 'Send `Authorization: Bearer <key>` with a key of this installation.',
  });
}

export function expiredKey(at: number): DomainError {
  return new DomainError('unauthenticated', 'key-expired', `This API key expired at ${new Date(at).toISOString()}.`, {
    fix: 'Ask an administrator of your organization for a new key.',
  });
}

export function revokedKey(): DomainError {
  return new DomainError('unauthenticated', 'key-revoked', 'This API key was revoked.', {
    fix: 'Ask an administrator of your organization for a new key.',
  });
}

export function suspendedOrganization(): DomainError {
  return new DomainError('forbidden', 'organization-suspended', 'Your organization is suspended.', {
    fix: 'Ask the operator of this installation why, and to lift it.',
  });
}

export function roleNotGrantable(role: string, kind: string): DomainError {
  return new DomainError('invalid', 'role-not-grantable', `A ${kind} organization has no keys with the role ${role}.`, {
    field: 'role',
    fix: 'Use member or admin for tenants, provider-operator for providers, platform-admin for the platform.',
  });
}
