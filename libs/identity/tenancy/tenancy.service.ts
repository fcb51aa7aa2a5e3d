import { DomainError, newId, notFound, systemClock, systemRandom, type Clock, type Random } from '#kernel';
import { WORKER, type Store, type Tx } from '#platform/database';
import { roleNotGrantable } from './errors.js';
import { ensureInstall, issuePlatformKey, type Install } from './install.js';
import { KeyRing, type IssuedKey } from './key-ring.js';
import {
  KIND_OF_ROLE,
  withinOrganization,
  type OrganizationKind,
  type OrganizationState,
  type Principal,
  type Role,
} from './principal.js';
import { apiKeys, organizations, projects, type ApiKeyRow, type OrganizationRow, type ProjectRow } from './tables.js';

/** A page of rows in order of their ids, which is the order of their creation. */
export interface PageOrder {
  readonly limit: number;
  /** The id of the last row of the page before. */
  readonly after?: readonly unknown[];
}

/** Runs inside the transaction that created something, before its commit; what it throws undoes the creation. */
export type InSameTransaction<T> = (tx: Tx, created: T) => Promise<void>;

export interface NewOrganization {
  readonly name: string;
  readonly kind: Exclude<OrganizationKind, 'platform'>;
  /** When given, a key for the whole organization comes with it. */
  readonly keyName?: string;
}

export interface CreatedOrganization {
  readonly organization: OrganizationRow;
  /** The project "default"; providers have none. */
  readonly project: ProjectRow | null;
  readonly key: IssuedKey | null;
}

export interface NewKey {
  readonly name: string;
  readonly role: Role;
  readonly projectId?: string;
  readonly expiresAt?: number;
  /** Only a platform administrator may name another organization than the own one. */
  readonly organizationId?: string;
}

const none = (): Promise<void> => Promise.resolve();

/** Organizations, projects and keys: who is who, and who may see what. */
export class Tenancy {
  private readonly keys: KeyRing;
  private readonly store: Store;
  private readonly clock: Clock;
  private readonly random: Random;

  constructor(parts: {
    readonly store: Store;
    readonly pepper: Uint8Array;
    readonly clock?: Clock;
    readonly random?: Random;
  }) {
    this.store = parts.store;
    this.clock = parts.clock ?? systemClock;
    this.random = parts.random ?? systemRandom;
    this.keys = new KeyRing(parts.store, parts.pepper, this.clock, this.random);
  }

  ensureInstall(): Promise<Install> {
    return ensureInstall(this.store, this.keys, this.clock, this.random);
  }

  issuePlatformKey(name: string): Promise<string> {
    return issuePlatformKey(this.store, this.keys, name);
  }

  /** Throws DomainError `invalid-key`, `key-expired`, `key-revoked` or `organization-suspended`. */
  authenticate(secretText: string): Promise<Principal> {
    return this.keys.authenticate(secretText);
  }

  createOrganization(
    order: NewOrganization,
    also: InSameTransaction<CreatedOrganization> = none,
  ): Promise<CreatedOrganization> {
    return this.store.transaction(WORKER, async (tx) => {
      const createdAt = await tx.now();
      const id = newId('organization', this.clock.now(), this.random);
      const organization: OrganizationRow = { id, name: order.name, kind: order.kind, state: 'active', createdAt };
      await tx.insert(organizations, organization);
      let project: ProjectRow | null = null;
      if (order.kind === 'tenant') {
        const projectId = newId('project', this.clock.now(), this.random);
        project = { id: projectId, organizationId: id, name: 'default', createdAt };
        await tx.insert(projects, project);
      }
      const role = order.kind === 'tenant' ? 'admin' : 'provider-operator';
      const key =
        order.keyName === undefined
          ? null
          : await this.keys.issueIn(tx, {
              organizationId: id,
              projectId: null,
              name: order.keyName,
              role,
              expiresAt: null,
            });
      const created = { organization, project, key };
      await also(tx, created);
      return created;
    });
  }

  listOrganizations(who: Principal, page: PageOrder): Promise<OrganizationRow[]> {
    return this.store.transaction(who.actor, (tx) =>
      tx.find(organizations, who.role === 'platform-admin' ? {} : { id: who.organizationId }, byId(page)),
    );
  }

  getOrganization(who: Principal, id: string): Promise<OrganizationRow> {
    return this.store.transaction(who.actor, async (tx) => {
      const visible = who.role === 'platform-admin' || id === who.organizationId;
      const found = visible ? await tx.first(organizations, { id }) : null;
      if (!found) throw notFound('organization', id);
      return found;
    });
  }

  /** Suspended organizations are refused at the door; what they run goes on until somebody ends it. */
  setOrganizationState(
    id: string,
    state: OrganizationState,
    also: InSameTransaction<{ before: OrganizationRow; after: OrganizationRow }> = none,
  ): Promise<OrganizationRow> {
    return this.store.transaction(WORKER, async (tx) => {
      const changeable = { id, kind: { not: 'platform' as const } };
      const before = await tx.first(organizations, changeable, { lock: 'update' });
      const [after] = before ? await tx.update(organizations, changeable, { state }) : [];
      if (!before || !after) throw notFound('tenant or provider organization', id);
      await also(tx, { before, after });
      return after;
    });
  }

  createProject(
    who: Principal,
    order: { readonly name: string; readonly organizationId?: string },
    also: InSameTransaction<ProjectRow> = none,
  ): Promise<ProjectRow> {
    return this.store.transaction(who.actor, async (tx) => {
      const organization = await this.organizationFor(tx, who, order.organizationId);
      const project = {
        id: newId('project', this.clock.now(), this.random),
        organizationId: organization.id,
        name: order.name,
        createdAt: await tx.now(),
      };
      const [created] = await tx.insertNew(projects, [project]);
      if (!created) {
        throw new DomainError('conflict', 'project-exists', `There is already a project named "${order.name}".`, {
          field: 'name',
          fix: 'Choose another name, or use the project that is there.',
        });
      }
      await also(tx, created);
      return created;
    });
  }

  listProjects(who: Principal, page: PageOrder): Promise<ProjectRow[]> {
    return this.store.transaction(who.actor, (tx) => tx.find(projects, projectScope(who), byId(page)));
  }

  /** 404 for everything outside the caller's projects, whether it exists or not. */
  getProject(who: Principal, id: string): Promise<ProjectRow> {
    return this.store.transaction(who.actor, (tx) => visibleProject(tx, who, id));
  }

  createKey(who: Principal, order: NewKey, also: InSameTransaction<IssuedKey> = none): Promise<IssuedKey> {
    return this.store.transaction(who.actor, async (tx) => {
      const organization = await this.organizationFor(tx, who, order.organizationId);
      if (KIND_OF_ROLE[order.role] !== organization.kind) throw roleNotGrantable(order.role, organization.kind);
      if (order.role === 'member' && order.projectId === undefined) {
        throw new DomainError('invalid', 'project-needed', 'A member key belongs to one project.', {
          field: 'projectId',
          fix: 'Name the project, or issue an admin key for the whole organization.',
        });
      }
      if (order.role !== 'member' && order.projectId !== undefined) {
        throw new DomainError('invalid', 'project-not-allowed', `A ${order.role} key is for the whole organization.`, {
          field: 'projectId',
          fix: 'Leave the project out, or issue a member key.',
        });
      }
      if (order.expiresAt !== undefined && order.expiresAt <= this.clock.now()) {
        throw new DomainError('invalid', 'expiry-in-the-past', 'The key would be expired already.', {
          field: 'expiresAt',
        });
      }
      if (order.projectId !== undefined) {
        const project = await visibleProject(tx, who, order.projectId);
        if (project.organizationId !== organization.id) throw notFound('project', order.projectId);
      }
      const issued = await this.keys.issueIn(tx, {
        organizationId: organization.id,
        projectId: order.projectId ?? null,
        name: order.name,
        role: order.role,
        expiresAt: order.expiresAt ?? null,
      });
      await also(tx, issued);
      return issued;
    });
  }

  listKeys(who: Principal, page: PageOrder): Promise<ApiKeyRow[]> {
    return this.store.transaction(who.actor, (tx) => tx.find(apiKeys, withinOrganization(who), byId(page)));
  }

  /** In force in this process at once and in every other one within a second; doing it again changes nothing. */
  revokeKey(who: Principal, id: string, also: InSameTransaction<ApiKeyRow> = none): Promise<ApiKeyRow> {
    return this.store.transaction(who.actor, async (tx) => {
      const revoked = await this.keys.revokeIn(tx, { id, ...withinOrganization(who) });
      await also(tx, revoked);
      return revoked;
    });
  }

  private async organizationFor(tx: Tx, who: Principal, asked: string | undefined): Promise<OrganizationRow> {
    const id = asked ?? who.organizationId;
    const visible = who.role === 'platform-admin' || id === who.organizationId;
    const found = visible ? await tx.first(organizations, { id }) : null;
    if (!found) throw notFound('organization', id);
    return found;
  }
}

function byId(page: PageOrder) {
  return { ...page, orderBy: [['id', 'asc'] as const] };
}

function projectScope(who: Principal) {
  return { ...withinOrganization(who), ...(who.projectIds === 'all' ? {} : { id: { in: who.projectIds } }) };
}

async function visibleProject(tx: Tx, who: Principal, id: string): Promise<ProjectRow> {
  const allowed = who.projectIds === 'all' || who.projectIds.includes(id);
  const found = allowed ? await tx.first(projects, { id, ...withinOrganization(who) }) : null;
  if (!found) throw notFound('project', id);
  return found;
}
