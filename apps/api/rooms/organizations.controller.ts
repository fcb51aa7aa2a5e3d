import { Controller } from '@nestjs/common';
import { z } from 'zod';
import { idOf, isoTime } from '#contracts';
import { audit, authorOf } from '#identity/audit';
import {
  ORGANIZATION_KINDS,
  ORGANIZATION_STATES,
  Tenancy,
  type CreatedOrganization,
  type OrganizationRow,
} from '#identity/tenancy';
import { route, type Call } from '../http/route.js';
import { Serve } from '../http/serve.js';
import { issuedKeySchema, showIssued } from './keys.controller.js';
import { projectSchema, showProject } from './projects.controller.js';
import { nameText, timeText } from './shapes.js';

export const organizationSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    kind: z.enum(ORGANIZATION_KINDS),
    state: z.enum(ORGANIZATION_STATES),
    createdAt: isoTime,
  })
  .meta({ id: 'Organization' });

const tag = 'Organizations';
const params = z.strictObject({ id: idOf('organization') });

const createOrganization = route({
  method: 'POST',
  path: '/v1/organizations',
  tag,
  name: 'createOrganization',
  summary: 'Create a tenant or provider',
  description:
    'A tenant gets the project "default". With `keyName` a first key for the whole organization comes with it.',
  access: { roles: ['platform-admin'] },
  body: z
    .strictObject({
      name: nameText,
      kind: z.enum(['tenant', 'provider']).default('tenant'),
      keyName: nameText.optional(),
    })
    .meta({ id: 'NewOrganization' }),
  returns: z
    .object({
      organization: organizationSchema,
      project: projectSchema.nullable(),
      key: issuedKeySchema.nullable(),
    })
    .meta({ id: 'CreatedOrganization' }),
  creates: true,
});

const listOrganizations = route({
  method: 'GET',
  path: '/v1/organizations',
  tag,
  name: 'listOrganizations',
  summary: 'List organizations',
  access: { roles: ['platform-admin'] },
  returns: organizationSchema,
  page: true,
});

const getOrganization = route({
  method: 'GET',
  path: '/v1/organizations/{id}',
  tag,
  name: 'getOrganization',
  summary: 'Show an organization',
  access: { roles: ['member', 'admin', 'provider-operator', 'platform-admin'] },
  params,
  returns: organizationSchema,
});

const changeOrganization = route({
  method: 'PATCH',
  path: '/v1/organizations/{id}',
  tag,
  name: 'changeOrganization',
  summary: 'Suspend an organization or lift it',
  access: { roles: ['platform-admin'] },
  params,
  body: z.strictObject({ state: z.enum(ORGANIZATION_STATES) }).meta({ id: 'OrganizationChange' }),
  returns: organizationSchema,
});

@Controller()
export class OrganizationsController {
  constructor(private readonly tenancy: Tenancy) {}

  @Serve(createOrganization)
  async create(call: Call<typeof createOrganization>) {
    const { body, remember } = call;
    const { name, kind, keyName } = body;
    const created = await this.tenancy.createOrganization(
      { name, kind, ...(keyName === undefined ? {} : { keyName }) },
      async (tx, created) => {
        const { organization } = created;
        const on = { organizationId: organization.id, subject: organization.id };
        const after = showOrganization(organization);
        await audit(tx, { by: authorOf(call), ...on, action: 'organization.create', after });
        await remember(tx, showCreated(created));
      },
    );
    return showCreated(created);
  }

  @Serve(listOrganizations)
  async list({ principal, page }: Call<typeof listOrganizations>) {
    return page.answer(
      await this.tenancy.listOrganizations(principal, page.order),
      (row) => [row.id],
      showOrganization,
    );
  }

  @Serve(getOrganization)
  async get({ principal, params }: Call<typeof getOrganization>) {
    return showOrganization(await this.tenancy.getOrganization(principal, params.id));
  }

  @Serve(changeOrganization)
  async change(call: Call<typeof changeOrganization>) {
    const { id } = call.params;
    const changed = await this.tenancy.setOrganizationState(id, call.body.state, (tx, { before, after }) =>
      audit(tx, {
        by: authorOf(call),
        organizationId: id,
        action: 'organization.change',
        subject: id,
        before: showOrganization(before),
        after: showOrganization(after),
      }),
    );
    return showOrganization(changed);
  }
}

function showOrganization(row: OrganizationRow) {
  return { ...row, createdAt: timeText(row.createdAt) };
}

function showCreated({ organization, project, key }: CreatedOrganization) {
  return {
    organization: showOrganization(organization),
    project: project && showProject(project),
    key: key && showIssued(key),
  };
}
