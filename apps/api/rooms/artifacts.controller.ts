import { Readable } from 'node:stream';
import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { idOf, isoTime } from '#contracts';
import type { Store } from '#platform/database';
import { EgressTally } from '#money/storage';
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

const listArtifacts = route({
  method: 'GET',
  path: '/v1/artifacts',
  tag,
  name: 'listArtifacts',
  summary: 'List files, newest first',
  description: 'Those that were not deleted, with the storage that they take up.',
  access: { roles },
  query: z.strictObject({ projectId: idOf('project').optional() }),
  returns: artifactSchema,
  page: true,
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

const deleteArtifact = route({
  method: 'DELETE',
  path: '/v1/artifacts/{id}',
  tag,
  name: 'deleteArtifact',
  summary: 'Delete a file',
  description: 'It takes up no storage from then on. Refused (409) while a job still needs it.',
  access: { roles },
  params,
  returns: artifactSchema,
});

@Controller()
export class ArtifactsController {
  constructor(
    private readonly artifacts: Artifacts,
    private readonly egress: EgressTally,
    @Inject(STORE) private readonly store: Store,
  ) {}

  @Serve(createArtifact)
  async create({ principal, query, upload, request, remember }: Call<typeof createArtifact>) {
    const project = await projectOf(this.store, principal, query.projectId);
    const mediaType = (request.headers['content-type'] ?? 'application/octet-stream').slice(0, 100);
    const of = { ...project, name: query.name, mediaType };
    return show(await this.artifacts.put(principal.actor, of, upload, (tx, row) => remember(tx, show(row))));
  }

  @Serve(listArtifacts)
  async list({ principal, query, page }: Call<typeof listArtifacts>) {
    const rows = await this.artifacts.list(principal.actor, query.projectId ?? null, page.order);
    return page.answer(rows, (row) => [row.id], show);
  }

  @Serve(getArtifact)
  async get({ principal, params }: Call<typeof getArtifact>) {
    return show(await this.artifacts.get(principal.actor, params.id));
  }

  @Serve(deleteArtifact)
  async remove({ principal, params }: Call<typeof deleteArtifact>) {
    return show(await this.artifacts.remove(principal.actor, params.id));
  }

  @Serve(readArtifact)
  async read({ principal, params }: Call<typeof readArtifact>) {
    const row = await this.artifacts.get(principal.actor, params.id);
    return {
      stream: Readable.from(this.egress.count(row, await this.artifacts.objects.get(row.objectKey))),
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
