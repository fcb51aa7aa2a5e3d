import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { repoRoot } from '#hardware';
import type { Mark } from './mark.js';

export const PROGRAMS = ['api', 'worker', 'agent'] as const;
export type ProgramName = (typeof PROGRAMS)[number];

/** What the broker of this machine keeps about itself between runs; it holds keys, so only its owner may read it. */
export interface LocalState {
  /** Where the API listened last. */
  readonly url?: string;
  readonly platformKey?: string;
  readonly hostId?: string;
  /** What runs; "supervisor" is the program that keeps the others running. */
  readonly processes?: Readonly<Partial<Record<ProgramName | 'supervisor', Mark>>>;
  /** The supervisor has brought everything up. */
  readonly ready?: boolean;
  /** The tenant of this machine, its first key included. */
  readonly demo?: LocalTenant;
  /** Idempotency key of the request that makes that tenant, while it is under way. */
  readonly demoRequest?: string | undefined;
}

export interface LocalTenant {
  readonly organizationId: string;
  readonly projectId: string;
  readonly key: string;
}

export function homeOf(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env['BERTH_HOME'] ?? join(repoRoot(), '.berth'));
}

export function readState(home: string): LocalState {
  const file = join(home, 'local.json');
  if (!existsSync(file)) return {};
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as LocalState;
  } catch {
    // Lost keys are issued anew: better than refusing to start.
    return {};
  }
}

export function writeState(home: string, change: Partial<LocalState>): LocalState {
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const state = { ...readState(home), ...change };
  const draft = join(home, `local.json.${process.pid}`);
  writeFileSync(draft, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, join(home, 'local.json'));
  return state;
}
