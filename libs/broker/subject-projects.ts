import type { SubjectProjects } from '#money/metering';
import { leases } from '#compute/leases';
import { jobs } from '#work/jobs';

/** Projects of the jobs and leases that usage events name, for metering, which lies below both rooms. */
export const subjectProjects: SubjectProjects = async (tx, organizationId, { jobIds, leaseIds }) => {
  const ofJobs = jobIds.length === 0 ? [] : await tx.find(jobs, { organizationId, id: { in: jobIds } });
  const ofLeases = leaseIds.length === 0 ? [] : await tx.find(leases, { organizationId, id: { in: leaseIds } });
  return {
    jobs: new Map(ofJobs.map((j) => [j.id, j.projectId])),
    leases: new Map(ofLeases.map((l) => [l.id, l.projectId])),
  };
};
