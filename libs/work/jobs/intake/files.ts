import { DomainError } from '#kernel';
import type { CreateJob } from '#contracts';
import { PgTx, sql, type Tx } from '#platform/database';
import { keepArtifacts, type NeededBy } from '#compute/artifacts';
import { jobMachine, jobs } from '../jobs.table.js';
import type { Planned } from '../placing/planning.js';

const ended = jobMachine.states.filter((s) => jobMachine.isTerminal(s));

/** The files that a job reads. */
export const filesOf = (spec: CreateJob['spec']): string[] =>
  spec.kind === 'batch-inference' ? [spec.inputArtifactId] : spec.inputs.map((i) => i.artifactId);

/** The job that still reads a file, if there is one. */
export const fileNeededBy: NeededBy = async (tx, { id, organizationId, projectId }) => {
  if (tx instanceof PgTx) {
    const [job] = await tx.query<{ id: string }>(
      sql`select id from jobs where organization_id = ${organizationId} and project_id = ${projectId} and not (state = any (${ended}))
            and (spec ->> 'inputArtifactId' = ${id} or spec -> 'inputs' @> jsonb_build_array(jsonb_build_object('artifactId', ${id}::text)))
          limit 1`,
    );
    return job?.id ?? null;
  }
  const open = await tx.find(jobs, { organizationId, projectId, endedAt: { isNull: true } });
  return open.find(({ spec }) => filesOf(spec).includes(id))?.id ?? null;
};

/** Throws when a file of these jobs, all of one organization, was deleted since they were planned; the files stay until the transaction ends. */
export async function keepFiles(tx: Tx, organizationId: string, planned: readonly Planned[]): Promise<void> {
  const there = await keepArtifacts(
    tx,
    organizationId,
    [...new Set(planned.flatMap((p) => filesOf(p.submission.request.spec)))].sort(),
  );
  for (const { submission } of planned) {
    const { projectId, request } = submission;
    const gone = filesOf(request.spec).find((id) => !there.has(`${projectId}/${id}`));
    if (gone === undefined) continue;
    throw new DomainError('invalid', 'unknown-artifact', `The artifact ${gone} was deleted meanwhile.`, {
      field: request.spec.kind === 'batch-inference' ? 'spec.inputArtifactId' : 'spec.inputs',
      fix: 'Upload the file again.',
    });
  }
}
