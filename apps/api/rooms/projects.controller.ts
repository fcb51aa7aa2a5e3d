import { Controller } from '@nestjs/common';
import { z } from 'zod';
import { idOf, isoTime } from '#contracts';
import { Tenancy, type ProjectRow } from '#identity/tenancy';
import { route, type Call } from '../http/route.js';
import { Serve } from '../http/serve.js';
import { nameText, timeText } from './shapes.js';

export const projectSchema = z
  .object({ id: z.string(), organizationId: z.string(), name: z.string(), createdAt: isoTime })
  .meta({ id: 'Project' });

const tag = 'Projects';

const createProject = route({
  method: 'POST',
  path: '/v1/projects',
  tag,
  name: 'createProject',
  summary: 'Create a project',
  access: { roles: ['admin', 'platform-admin'] },
  body: z
    .strictObject({
      name: nameText,
      organizationId: idOf('organization')
        .optional()
        .describe('For platform administrators; everybody else has only the own organization'),
    })
    .meta({ id: 'NewProject' }),
  returns: projectSchema,
  creates: true,
});

const listProjects = route({
  method: 'GET',
  path: '/v1/projects',
  tag,
  name: 'listProjects',
  summary: 'List projects',
  access: { roles: ['member', 'admin', 'platform-admin'] },
  returns: projectSchema,
  page: true,
});

const getProject = route({
  method: 'GET',
  path: '/v1/projects/{id}',
  tag,
  name: 'getProject',
  summary: 'Show a project',
  access: { roles: ['member', 'admin', 'platform-admin'] },
  params: z.strictObject({ id: idOf('project') }),
  returns: projectSchema,
});

@Controller()
export class ProjectsController {
  constructor(private readonly tenancy: Tenancy) {}

  @Serve(createProject)
  async create({ principal, body, remember }: Call<typeof createProject>) {
    const { name, organizationId } = body;
    const project = await this.tenancy.createProject(
      principal,
      { name, ...(organizationId === undefined ? {} : { organizationId }) },
      (tx, created) => remember(tx, showProject(created)),
    );
    return showProject(project);
  }

  @Serve(listProjects)
  async list({ principal, page }: Call<typeof listProjects>) {
    return page.answer(await this.tenancy.listProjects(principal, page.order), (row) => [row.id], showProject);
  }

  @Serve(getProject)
  async get({ principal, params }: Call<typeof getProject>) {
    return showProject(await this.tenancy.getProject(principal, params.id));
  }
}

export function showProject(row: ProjectRow) {
  return { ...row, createdAt: timeText(row.createdAt) };
}
