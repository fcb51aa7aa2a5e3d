import { DomainError, newId, notFound, type Clock, type Random } from '#kernel';
import { within, WORKER, type Actor, type Store, type Tx } from '#platform/database';
import { Quotas } from '#money/quotas';
import { artifacts, type ArtifactRow } from './artifacts.table.js';
import { passAlone } from './gate.js';

/** What this room needs of an object store; `platform/objects` has it. */
export interface ObjectBytes {
  put(key: string, body: Uint8Array | AsyncIterable<Uint8Array>): Promise<{ sha256: string; bytes: number }>;
  get(key: string): Promise<AsyncIterable<Uint8Array>>;
  getRange(key: string, from: number, to: number): Promise<AsyncIterable<Uint8Array>>;
  delete(key: string): Promise<void>;
}

/** Names what still needs a file, or null; the rooms above say it. */
export type NeededBy = (tx: Tx, file: ArtifactRow) => Promise<string | null>;

export class Artifacts {
  constructor(
    private readonly store: Store,
    readonly objects: ObjectBytes,
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly quotas: Quotas,
    private readonly neededBy: NeededBy = () => Promise.resolve(null),
  ) {}

  /**
   * Stores the bytes first, then the row: a crash between leaves an object nobody names, never a row without bytes.
   * `also` runs in the row's transaction; what it throws undoes the row. Throws rate-limited when a limit on storage says no.
   */
  async put(
    actor: Actor,
    of: { organizationId: string; projectId: string; name: string; mediaType: string },
    body: Uint8Array | AsyncIterable<Uint8Array>,
    also: (tx: Tx, created: ArtifactRow) => Promise<void> = () => Promise.resolve(),
  ): Promise<ArtifactRow> {
    const id = newId('artifact', this.clock.now(), this.random);
    const objectKey = `artifacts/${of.organizationId}/${id}`;
    const { sha256, bytes } = await this.objects.put(objectKey, body);
    const row: ArtifactRow = { id, ...of, bytes, sha256, objectKey, createdAt: this.clock.now(), deletedAt: null };
    await this.store.transaction(actor, async (tx) => {
      const { organizationId, projectId } = of;
      await this.quotas.take(tx, { holder: id, organizationId, projectId }, { 'storage-bytes': BigInt(bytes) });
      await tx.insert(artifacts, row);
      await also(tx, row);
    });
    return row;
  }

  /** The row, or not-found: also for another tenant's id. */
  async get(actor: Actor, id: string): Promise<ArtifactRow> {
    const row = await this.store.transaction(actor, (tx) =>
      tx.first(artifacts, { id, deletedAt: { isNull: true }, ...within(actor) }),
    );
    if (!row) throw notFound('artifact', id);
    return row;
  }

  /** Newest first, of one project or of all that the actor sees. */
  list(
    actor: Actor,
    projectId: string | null,
    page: { readonly limit: number; readonly after?: readonly unknown[] },
  ): Promise<ArtifactRow[]> {
    const own = within(actor);
    const projects =
      projectId === null
        ? {}
        : { projectId: { in: own.projectId?.in.filter((id) => id === projectId) ?? [projectId] } };
    return this.store.transaction(actor, (tx) =>
      tx.find(artifacts, { ...own, ...projects, deletedAt: { isNull: true } }, { orderBy: [['id', 'desc']], ...page }),
    );
  }

  /**
   * Deletes a file: its row says since when, its bytes go after that, and it is metered no longer. Refused while something needs it.
   * A crash between leaves an object nobody names.
   */
  async remove(actor: Actor, id: string): Promise<ArtifactRow> {
    // A tenant's role may read and add files, not change them: whose it is has been looked at before.
    const { organizationId } = await this.get(actor, id);
    const row = await this.store.transaction(WORKER, async (tx) => {
      await passAlone(tx, organizationId, id);
      const file = await tx.first(artifacts, { id, deletedAt: { isNull: true } }, { lock: 'update' });
      if (!file) throw notFound('artifact', id);
      const needed = await this.neededBy(tx, file);
      if (needed !== null)
        throw new DomainError('conflict', 'artifact-in-use', `${needed} still needs this file.`, {
          fix: 'Delete it when that has ended, or cancel that first.',
        });
      const deletedAt = Math.max(file.createdAt, await tx.now());
      await tx.update(artifacts, { id }, { deletedAt });
      await this.quotas.release(tx, id, ['storage-bytes']);
      return { ...file, deletedAt };
    });
    await this.objects.delete(row.objectKey);
    return row;
  }

  async bytes(row: ArtifactRow): Promise<Uint8Array> {
    return collect(await this.objects.get(row.objectKey));
  }
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of chunks) parts.push(part);
  return Buffer.concat(parts);
}
