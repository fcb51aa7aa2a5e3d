import { UsageError } from './exit.js';
import { nanoOf, secondsOf } from './text.js';

/** What `berth jobs submit` takes. */
export interface SubmitFlags {
  model?: string;
  input?: string;
  command?: boolean;
  env: string[];
  in: string[];
  out: string[];
  gpu?: string;
  count?: number;
  maxCost?: string;
  name?: string;
  linesPerShard?: number;
  timeout?: string;
  keepWarm?: string;
  project?: string;
  wait?: string | true;
  dryRun?: boolean;
  idempotencyKey?: string;
}

/** A length of time from the command line. */
export function timeFlag(name: string, text: string): number {
  const seconds = secondsOf(text);
  if (seconds === null) throw new UsageError(`${name} is a time such as 90s, 15m or 2h, not "${text}"`);
  return seconds;
}

export function moneyFlag(name: string, text: string): string {
  const nano = nanoOf(text);
  if (nano === null) throw new UsageError(`${name} is an amount of dollars such as 2.50, not "${text}"`);
  return nano;
}
