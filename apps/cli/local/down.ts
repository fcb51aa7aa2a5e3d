import { stopEmbedded, statusEmbedded } from '#platform/embedded';
import { tell } from '../exit.js';
import { print, type Output } from '../output.js';
import { endProcess, isOurs } from './programs.js';
import { homeOf, PROGRAMS, readState, writeState } from './state.js';
import { endLeftovers } from './supervisor.js';

/** `berth down`: whatever runs of this home is stopped; harmless when nothing does. */
export async function down(output: Output): Promise<void> {
  const home = homeOf();
  const state = readState(home);
  const stopped: string[] = [];
  for (const name of PROGRAMS) if (isOurs(state.pids?.[name], `apps/${name}/main.js`)) stopped.push(name);
  if (statusEmbedded({ home }).state === 'running') stopped.push('PostgreSQL');
  if (isOurs(state.supervisorPid, 'cli/') && state.supervisorPid !== process.pid)
    await endProcess(state.supervisorPid, 30_000);
  await endLeftovers(state);
  if (statusEmbedded({ home }).state === 'running') await stopEmbedded({ home });
  if (state.url !== undefined) writeState(home, { supervisorPid: 0, pids: {} });
  if (output.json) print(`${JSON.stringify({ stopped })}\n`);
  else tell(stopped.length > 0 ? `Stopped: ${stopped.join(', ')}. The data stays in ${home}.` : 'Nothing was running.');
}
