import { z } from 'zod';

/** A name that people give: one line, no control characters, so that it is safe in tables, logs and terminals. */
export const nameText = z
  .string()
  .trim()
  .min(1)
  .max(80)
  .regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u, 'must be one line of visible characters');

/** Milliseconds since the epoch as the API shows time. */
export function timeText(ms: number): string;
export function timeText(ms: number | null): string | null;
export function timeText(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
