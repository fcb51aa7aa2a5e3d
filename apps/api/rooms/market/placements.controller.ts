import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { idOf, objectives, placementView, workloadSchema } from '#contracts';
import type { Store } from '#platform/database';
import { Placements } from '#market/placement';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { STORE } from '../../tokens.js';
import { projectOf } from '../project-of.js';

const tag = 'Placement';

const previewPlacement = route({
  method: 'POST',
  path: '/v1/placements/preview',
  tag,
  name: 'previewPlacement',
  summary: 'Rank offers for a workload',
  description:
    'Ranks by the expected cost of the finished work, with every term in dollars and a count of rejections by dimension. Nothing is rented.',
  access: { roles: ['member', 'admin'] },
  body: z
    .strictObject({
      workload: workloadSchema,
      scope: z.enum(['market', 'rentable']).default('market'),
      limit: z.int().min(1).max(100).default(20),
      projectId: idOf('project').optional(),
    })
    .meta({ id: 'PlacementPreview' }),
  returns: placementView,
});

const getPlacement = route({
  method: 'GET',
  path: '/v1/placements/{id}',
  tag,
  name: 'getPlacement',
  summary: 'Show a stored decision',
  access: { roles: ['member', 'admin'] },
  params: z.strictObject({ id: idOf('placement') }),
  returns: placementView,
});

const constraintsSchema = workloadSchema.shape.constraints.unwrap();

const replayPlacement = route({
  method: 'POST',
  path: '/v1/placements/{id}/replay',
  tag,
  name: 'replayPlacement',
  summary: 'Take a decision again',
  description:
    'Asks the same question of today’s catalog, or with another objective, scope or constraints, and says what changed. Stored as a decision of its own; nothing is rented.',
  access: { roles: ['member', 'admin'] },
  params: z.strictObject({ id: idOf('placement') }),
  body: z
    .strictObject({
      objective: z.enum(objectives).optional(),
      scope: z.enum(['market', 'rentable']).optional(),
      constraints: constraintsSchema.optional().describe('Put in the place of the constraints of the same name'),
      without: z.array(constraintsSchema.keyof()).max(20).optional().describe('Constraints to drop'),
      limit: z.int().min(1).max(100).default(20),
    })
    .meta({ id: 'PlacementReplayRequest' }),
  returns: placementView,
});

@Controller()
export class PlacementsController {
  constructor(
    private readonly placements: Placements,
    @Inject(STORE) private readonly store: Store,
  ) {}

  @Serve(previewPlacement)
  async preview({ principal, body }: Call<typeof previewPlacement>) {
    const project = await projectOf(this.store, principal, body.projectId);
    return this.placements.preview(principal.actor, {
      ...project,
      workload: body.workload,
      scope: body.scope,
      limit: body.limit,
    });
  }

  @Serve(getPlacement)
  get({ principal, params }: Call<typeof getPlacement>) {
    return this.placements.get(principal.actor, params.id);
  }

  @Serve(replayPlacement)
  replay({ principal, params, body }: Call<typeof replayPlacement>) {
    return this.placements.replay(principal.actor, params.id, body);
  }
}
