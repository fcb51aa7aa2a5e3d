import { table } from '#platform/database';

/** A file that a tenant keeps with us: job inputs, results, outputs. */
export interface ArtifactRow {
  id: string;
  organizationId: string;
  projectId: string;
  name: string;
  mediaType: string;
  bytes: number;
  sha256: string;
  objectKey: string;
  createdAt: number;
  /** From then on there are no bytes; the row stays, because its time is metered. */
  deletedAt: number | null;
}

export const artifacts = table<ArtifactRow>(
  'artifacts',
  {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    name: 'text',
    mediaType: 'text',
    bytes: 'int',
    sha256: 'text',
    objectKey: 'text',
    createdAt: 'time',
    deletedAt: 'time',
  },
  { key: ['id'] },
);
