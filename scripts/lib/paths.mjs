import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const dist = join(root, 'dist');
/** Logs and locks of these scripts; ignored by git. */
export const scratch = join(root, '.berth');

/** A failure that the person at the terminal can act on: shown as it is, without a stack. */
export class Plain extends Error {}

/** Runs a script's body; a Plain failure ends it with its sentence and exit code 1. */
export async function main(body) {
  try {
    process.exitCode = (await body()) ?? 0;
  } catch (error) {
    if (!(error instanceof Plain)) throw error;
    console.error(`\n${error.message}`);
    process.exitCode = 1;
  }
}
