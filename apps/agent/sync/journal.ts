import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { workItemSchema, workReportSchema, type WorkItem } from '#contracts';
import { writeFileDurably } from '../durable-file.js';
import type { Outcome } from '../runners/runner.js';
import { keyOf } from './desired.js';

const recordSchema = z.object({
  item: workItemSchema,
  /** How often this (work, fence) was started, over all lives of the agent. */
  runs: z.int().positive(),
  /** Set once the work is over and its result uploaded: from then on it is reported, never run again. */
  outcome: workReportSchema.nullable(),
});

export interface JournalRecord {
  readonly item: WorkItem;
  readonly runs: number;
  readonly outcome: Outcome | null;
  readonly folder: string;
}

/**
 * What the agent must still know after a kill: one folder per (work, fence) with the record and whatever the runner keeps there,
 * and the sequence number. Records are replaced atomically and flushed.
 */
export class Journal {
  private constructor(
    private readonly dir: string,
    private readonly records: Map<string, JournalRecord>,
    private lastSeq: number,
  ) {}

  static async open(stateDir: string): Promise<Journal> {
    const dir = join(stateDir, 'work');
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const records = new Map<string, JournalRecord>();
    for (const name of await readdir(dir)) {
      const folder = join(dir, name);
      const record = await readRecord(folder);
      // A folder without a record was never begun, or is half removed.
      if (record) records.set(keyOf(record.item), { ...record, folder });
      else await rm(folder, { recursive: true, force: true });
    }
    const seq = Number(await readFile(join(stateDir, 'sequence'), 'utf8').catch(() => '0'));
    const journal = new Journal(dir, records, Number.isSafeInteger(seq) ? seq : 0);
    return journal;
  }

  all(): readonly JournalRecord[] {
    return [...this.records.values()];
  }

  /** The next sequence number, stored before it is used: it never repeats. */
  async nextSeq(): Promise<number> {
    this.lastSeq++;
    await writeFileDurably(join(this.dir, '..', 'sequence'), String(this.lastSeq));
    return this.lastSeq;
  }

  /** Notes a start; the record says which run of this (work, fence) it is. */
  async begin(item: WorkItem): Promise<JournalRecord> {
    const before = this.records.get(keyOf(item));
    const folder = before?.folder ?? join(this.dir, folderName(item));
    const record: JournalRecord = { item, runs: (before?.runs ?? 0) + 1, outcome: null, folder };
    await this.write(record);
    return record;
  }

  async finish(item: WorkItem, outcome: Outcome): Promise<void> {
    const record = this.records.get(keyOf(item));
    if (!record) throw new Error(`${keyOf(item)} was never begun`);
    await this.write({ ...record, outcome });
  }

  /** Leaves a word for a work that runs: a file in its folder. */
  async leave(work: { workId: string; fence: number }, name: string, text: string): Promise<void> {
    const record = this.records.get(keyOf(work));
    if (record) await writeFileDurably(join(record.folder, name), text);
  }

  async forget(work: { workId: string; fence: number }): Promise<void> {
    const record = this.records.get(keyOf(work));
    this.records.delete(keyOf(work));
    if (record) await rm(record.folder, { recursive: true, force: true });
  }

  private async write(record: JournalRecord): Promise<void> {
    const { folder, ...stored } = record;
    await writeFileDurably(join(folder, 'record.json'), JSON.stringify(stored));
    this.records.set(keyOf(record.item), record);
  }
}

async function readRecord(folder: string): Promise<Omit<JournalRecord, 'folder'> | undefined> {
  try {
    const record = recordSchema.parse(JSON.parse(await readFile(join(folder, 'record.json'), 'utf8')));
    if (record.outcome?.state === 'running') return undefined;
    return { ...record, outcome: record.outcome };
  } catch {
    return undefined;
  }
}

/** Ids come from the broker and must not become paths: an unusual one is named by its digest. */
function folderName(item: WorkItem): string {
  const name = /^[A-Za-z0-9_-]{1,80}$/.test(item.workId)
    ? item.workId
    : createHash('sha256').update(item.workId).digest('hex').slice(0, 40);
  return `${name}.${item.fence}`;
}
