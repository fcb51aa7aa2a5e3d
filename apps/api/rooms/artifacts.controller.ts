import { Readable } from 'node:stream';
import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { idOf, isoTime } from '#contracts';
import type { Store } from '#platform/database';
import { Artifacts, type ArtifactRow } from '#compute/artifacts';
import { route, type Call } from '../http/route.js';
import { Serve } from '../http/serve.js';
import { STORE } from '../tokens.js';
import { projectOf } from './project-of.js';
import { nameText, timeText } from './shapes.js';

const artifactSchema = z
  .object({
    id: idOf('artifact'),
    projectId: z.string(),
    name: z.string(),
    mediaType: z.string(),
    bytes: z.int(),
    sha256: z.string(),
    createdAt: isoTime,
  })
  .meta({ id: 'Artifact' });

const tag = 'Artifacts';
const params = z.strictObject({ id: idOf('artifact') });
const roles = ['member', 'admin'] as const;

const createArtifact = route({
  method: 'POST',
  path: '/v1/artifacts',
  tag,
  name: 'createArtifact',
  summary: 'Upload a file',
  description: 'The body is the file as it is. Batch inputs are JSON lines of OpenAI-style requests.',
  access: { roles },
  query: z.strictObject({ name: nameText.default('artifact'), projectId: idOf('project').optional() }),
  upload: true,
  returns: artifactSchema,
  creates: true,
});

const getArtifact = route({
  method: 'GET',
  path: '/v1/artifacts/{id}',
  tag,
  name: 'getArtifact',
  summary: 'Show a file',
  access: { roles },
  params,
  returns: artifactSchema,
});

const readArtifact = route({
  method: 'GET',
  path: '/v1/artifacts/{id}/content',
  tag,
  name: 'readArtifact',
  summary: 'Read a file',
  access: { roles },
  params,
  returns: { bytes: 'application/octet-stream' },
});

@Controller()
export class ArtifactsController {
  constructor(
    private readonly artifacts: Artifacts,
    @Inject(STORE) private readonly store: Store,
  ) {}

  @Serve(createArtifact)
  async create({ principal, query, upload, request, remember }: Call<typeof createArtifact>) {
    const project = await projectOf(this.store, principal, query.projectId);
    const mediaType = (request.headers['content-type'] ?? 'application/octet-stream').slice(0, 100);
    const of = { ...project, name: query.name, mediaType };
    return show(await this.artifacts.put(principal.actor, of, upload, (tx, row) => remember(tx, show(row))));
  }

  @Serve(getArtifact)
  async get({ principal, params }: Call<typeof getArtifact>) {
    return show(await this.artifacts.get(principal.actor, params.id));
  }

  @Serve(readArtifact)
  async read({ principal, params }: Call<typeof readArtifact>) {
    const row = await this.artifacts.get(principal.actor, params.id);
    return {
      stream: Readable.from(await this.artifacts.objects.get(row.objectKey)),
      bytes: row.bytes,
      fileName: row.name,
    };
  }
}

function show(row: ArtifactRow) {
  const { id, projectId, name, mediaType, bytes, sha256, createdAt } = row;
  // Rows carry ids of their own kind; the type of a column is text.
  return {
    id: id as z.infer<typeof artifactSchema>['id'],
    projectId,
    name,
    mediaType,
    bytes,
    sha256,
    createdAt: timeText(createdAt),
  };
}
