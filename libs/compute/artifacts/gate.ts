import type { Procedure, Tx } from '#platform/database';
import { artifacts } from './artifacts.table.js';

/**
 * Whoever names files in what it writes passes together with others, who deletes a file passes alone; each until its transaction ends.
 * Rows are not locked for it: a tenant's role may add and read files, not change them. A gate stands before many files of an organization,
 * which has 64 of them: locks are few in all of a server, and one transaction may name tens of thousands of files.
 */
const artifactGate: Procedure<{ organizationId: string; ids: string[]; alone: boolean }, { passed: boolean }> = {
  name: 'artifact_gate',
  args: { organizationId: 'text', ids: 'texts', alone: 'bool' },
  result: { passed: 'bool' },
  // One transaction at a time.
  inMemory: () => Promise.resolve({ passed: true }),
};

/** Waits until nobody writes anything that may name this file, and lets nobody begin. To be called before its row is looked at. */
export async function passAlone(tx: Tx, organizationId: string, id: string): Promise<void> {
  await tx.call(artifactGate, { organizationId, ids: [id], alone: true });
}

/** Those of an organization's files that are there, as `project/id`; they stay until the transaction ends. To be called before anything else is locked. */
export async function keepArtifacts(
  tx: Tx,
  organizationId: string,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  await tx.call(artifactGate, { organizationId, ids: [...ids], alone: false });
  const found = await tx.find(artifacts, { organizationId, id: { in: [...ids] }, deletedAt: { isNull: true } });
  return new Set(found.map(({ projectId, id }) => `${projectId}/${id}`));
}
