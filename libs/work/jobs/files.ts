import type { NeededBy } from '#compute/artifacts';
import { jobMachine, jobs } from './jobs.table.js';

const open = jobMachine.states.filter((s) => !jobMachine.isTerminal(s));

/** The job that still reads a file, if there is one. */
export const fileNeededBy: NeededBy = async (tx, { id, organizationId, projectId }) => {
  const running = await tx.find(jobs, { organizationId, projectId, state: { in: open } });
  const job = running.find(({ spec }) =>
    spec.kind === 'batch-inference' ? spec.inputArtifactId === id : spec.inputs.some((i) => i.artifactId === id),
  );
  return job?.id ?? null;
};
