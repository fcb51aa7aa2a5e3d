import { stopEmbedded, statusEmbedded } from '#platform/embedded';
import { tell } from '../exit.js';
import { print, type Output } from '../output.js';
import { endProcess, lives } from './mark.js';
import { homeOf, PROGRAMS, readState, writeState } from './state.js';
import { endLeftovers } from './supervisor.js';

/** `berth down`: whatever runs of this home is stopped; harmless when nothing does. */
export async function down(output: Output): Promise<void> {
  const home = homeOf();
  const state = readState(home);
  const { processes = {} } = state;
  const stopped: string[] = PROGRAMS.filter((name) => lives(processes[name]));
  if (statusEmbedded({ home }).state === 'running') stopped.push('PostgreSQL');
  if (lives(processes.supervisor)) await endProcess(processes.supervisor, 30_000);
  // Its own stop took them along; these are of one that was killed.
  await endLeftovers(readState(home));
  await stopEmbedded({ home });
  if (state.url !== undefined) writeState(home, { ready: false, processes: {} });
  if (output.json) print(`${JSON.stringify({ stopped })}\n`);
  else if (!output.quiet)
    tell(stopped.length > 0 ? `Stopped: ${stopped.join(', ')}. The data stays in ${home}.` : 'Nothing was running.');
}
