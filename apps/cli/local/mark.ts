import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process by number and birth: numbers are used again, births are not. */
export interface Mark {
  readonly pid: number;
  readonly birth: string;
}

/** The mark of a process that runs, or null. A zombie does not run. */
export function markOf(pid: number | undefined): Mark | null {
  if (pid === undefined || pid <= 0) return null;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return null;
  }
  const birth = process.platform === 'linux' ? birthFromProc(pid) : birthFromPs(pid);
  return birth === null ? null : { pid, birth };
}

export function lives(mark: Mark | undefined): mark is Mark {
  return mark !== undefined && markOf(mark.pid)?.birth === mark.birth;
}

function birthFromProc(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // State and start tick: fields 3 and 22, counted after the command name, which may hold spaces and ends at the last ')'.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

function birthFromPs(pid: number): string | null {
  try {
    const said = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return said === '' ? null : said;
  } catch {
    return null;
  }
}

/** Ends a process: politely, and after `politeMs` with its whole group. Resolves when it is gone. */
export async function endProcess(mark: Mark, politeMs = 10_000): Promise<void> {
  const until = Date.now() + politeMs;
  signal(mark.pid, 'SIGTERM');
  while (lives(mark)) {
    if (Date.now() >= until && !signal(-mark.pid, 'SIGKILL')) signal(mark.pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** False when there is nobody to signal. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
