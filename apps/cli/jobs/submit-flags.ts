import type { NeedFlags } from '../commands/workload-flags.js';

/** What `berth jobs submit` takes. */
export interface SubmitFlags extends NeedFlags {
  model?: string;
  input?: string;
  command?: boolean;
  env: Readonly<Record<string, string>>;
  in: string[];
  out: string[];
  gpuHours?: number;
  reference?: string;
  /** Nano-dollars. */
  maxCost?: string;
  name?: string;
  linesPerShard?: number;
  billing?: 'time' | 'tokens';
  quote?: string;
  /** Seconds. */
  takes?: number;
  timeout?: number;
  keepWarm?: number;
  project?: string;
  /** Seconds; true: however long it takes. */
  wait?: number | true;
  dryRun?: boolean;
  idempotencyKey?: string;
}

/** What `berth jobs submit-many` takes. */
export interface SubmitManyFlags {
  /** Nano-dollars. */
  maxCost?: string;
  project?: string;
  idempotencyKey?: string;
}
