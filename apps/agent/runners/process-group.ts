import { readFile } from 'node:fs/promises';

/** Names one process beyond the reuse of its id: the moment it started, in clock ticks since boot. */
export interface ProcessMark {
  readonly pid: number;
  readonly startedTicks: string | null;
}

/** The mark of a running process; without /proc (not Linux) only its id is known. */
export async function markProcess(pid: number): Promise<ProcessMark> {
  return { pid, startedTicks: await startedTicks(pid) };
}

/**
 * Kills what an earlier life of the agent left running in the group that `mark` leads. Only when the leader is provably the
 * same process: a reused id must not hit a stranger.
 */
export async function killLeftover(mark: ProcessMark): Promise<boolean> {
  if (mark.startedTicks === null || (await startedTicks(mark.pid)) !== mark.startedTicks) return false;
  return signalGroup(mark.pid, 'SIGKILL');
}

/** Sends a signal to every process of the group; false when none is left. */
export function signalGroup(leaderPid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-leaderPid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Field 22 of /proc/<pid>/stat; the name in field 2 may hold spaces and brackets, so count from its last bracket. */
async function startedTicks(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
