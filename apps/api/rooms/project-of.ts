import { DomainError, notFound } from '#kernel';
import { within, type Store } from '#platform/database';
import { projects, type Principal } from '#identity/tenancy';

/**
 * The project that a request means: the named one, or the only one the key can see. Naming another tenant's project is
 * "not found", as any unknown id.
 */
export async function projectOf(
  store: Store,
  principal: Principal,
  wanted: string | undefined,
): Promise<{ organizationId: string; projectId: string }> {
  const seen = await store.transaction(principal.actor, (tx) =>
    tx.find(
      projects,
      { organizationId: principal.organizationId, ...named(principal, wanted) },
      { orderBy: [['id', 'asc']], limit: 2 },
    ),
  );
  const [first, second] = seen;
  if (wanted !== undefined) {
    if (!first) throw notFound('project', wanted);
    return { organizationId: first.organizationId, projectId: first.id };
  }
  if (!first)
    throw new DomainError('invalid', 'project-missing', 'This key has no project to work in.', {
      field: 'projectId',
      fix: 'Create a project, or use a key of a tenant organization.',
    });
  if (second) {
    throw new DomainError('invalid', 'project-ambiguous', 'This key sees several projects.', {
      field: 'projectId',
      fix: 'Say which one: projectId.',
    });
  }
  return { organizationId: first.organizationId, projectId: first.id };
}

function named({ projectIds }: Principal, wanted: string | undefined): { id?: string | { in: readonly string[] } } {
  if (projectIds === 'all') return wanted === undefined ? {} : { id: wanted };
  return { id: { in: wanted === undefined ? projectIds : projectIds.filter((id) => id === wanted) } };
}

/** The caller's projects, or the one of them that was asked for. */
export function inProject({ actor }: Principal, asked: string | undefined): ReturnType<typeof within> {
  const own = within(actor);
  if (asked === undefined) return own;
  return { ...own, projectId: { in: own.projectId?.in.filter((id) => id === asked) ?? [asked] } };
}
