import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { embeddedFailure, unlessMissing } from './failure.js';

const stateShape = z.object({
  version: z.literal(1),
  /** Where the cluster lives: <home>/postgres, or a folder outside that the server account can reach. */
  dataDir: z.string(),
  /** The folder outside the home that was made for this cluster, if any. */
  place: z.string().nullable(),
  /** Folder with bin/ of the PostgreSQL that ran last. */
  programs: z.string(),
  account: z.object({ name: z.string(), uid: z.number().int(), gid: z.number().int() }).nullable(),
  port: z.number().int().nullable(),
  superuserPassword: z.string(),
  ownerPassword: z.string(),
  /** Owner role and database exist. */
  provisioned: z.boolean(),
});

/** What <home>/postgres.json remembers; it holds passwords and is readable by its owner only. */
export type EmbeddedState = z.infer<typeof stateShape>;

export const OWNER = 'berth_owner';
export const SUPERUSER = 'postgres';
export const DATABASE = 'berth';

export const statePath = (home: string): string => join(home, 'postgres.json');
export const logPath = (home: string): string => join(home, 'postgres.log');
export const lockPath = (home: string): string => join(home, 'postgres.lock');

export function newPassword(): string {
  return randomBytes(24).toString('base64url');
}

export function readState(home: string): EmbeddedState | undefined {
  const text = unlessMissing(() => readFileSync(statePath(home), 'utf8'));
  if (text === undefined) return undefined;
  try {
    return stateShape.parse(JSON.parse(text));
  } catch {
    throw embeddedFailure(
      `${statePath(home)} cannot be read: it is damaged or from another version of Berth.`,
      `Restore it, or delete ${home} to start with an empty database.`,
    );
  }
}

/** Replaces the file in one step: a crash leaves the old or the new one, never half. */
export function writeState(home: string, state: EmbeddedState): void {
  const draft = `${statePath(home)}.draft`;
  writeFileSync(draft, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, statePath(home));
}

export function connectionUrl(role: string, password: string, port: number, database: string): string {
  return `postgres://${role}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`;
}
