import { parseArgs } from 'node:util';
import { homeOf, readState } from '../local/state.js';
import { logFile } from '../local/programs.js';
import { Supervisor } from '../local/supervisor.js';
import { exitOf } from '../exit.js';
import { books, chat, embed, market, meaning, preview, tenant } from './story.js';
import { Stage } from './stage.js';

/** The main job, end to end, on real input: what `npm run demo` shows. */
const { values } = parseArgs({
  options: {
    exit: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    port: { type: 'string', default: '7070' },
  },
});
const stage = new Stage(values.json, process.stdout.isTTY === true && process.env['CI'] === undefined);
const home = homeOf();
let supervisor: Supervisor | undefined;
let leaving = false;

async function leave(code: number): Promise<never> {
  if (leaving) process.exit(130);
  leaving = true;
  await supervisor?.stop().catch(() => undefined);
  process.exit(code);
}
process.on('SIGINT', () => void leave(130));
process.on('SIGTERM', () => void leave(143));

try {
  supervisor = await stage.step('Starting PostgreSQL, API, worker, and an agent that offers this machine', (say) =>
    Supervisor.open({ home, port: Number(values.port), host: true, say }),
  );
  const { url, platformKey } = supervisor;
  stage.show(`broker at ${url}, data in ${home}`);
  const told = await tenant(stage, home, url, platformKey);
  const offers = await market(stage, told);
  const decision = await preview(stage, told);
  const first = stage.elapsedS;
  const texts = await embed(stage, told);
  const vectors = await meaning(stage, told, texts);
  const talk = await chat(stage, told);
  const money = await books(stage, told);
  const key = readState(home).demo?.key ?? '';
  stage.show(`
All of it took ${stage.elapsedS.toFixed(1)} s. The broker goes on at ${url}

  API guide     ${url}/docs
  platform key  ${platformKey}
  tenant key    ${key}
  logs          ${home}/logs

Try next:
  export PATH="$PWD/bin:$PATH" BERTH_CLI_URL=${url} BERTH_CLI_KEY=${key}
  berth jobs ls
  berth placement preview --gpu H100 --count 8 --interconnect nvswitch --gpu-hours 10
  curl -s -H "Authorization: Bearer $BERTH_CLI_KEY" "$BERTH_CLI_URL/v1/offers?gpu=H100&limit=3"`);
  if (values.json) {
    process.stdout.write(
      `${JSON.stringify({
        url,
        offers,
        considered: decision.considered,
        fitting: decision.fitting,
        firstResultAfterS: first,
        embeddings: {
          job: texts.id,
          state: texts.state,
          lines: texts.progress.linesOk,
          vectors,
          charged: texts.cost.charged,
        },
        chat: { job: talk.id, state: talk.state, lines: talk.progress.linesOk, charged: talk.cost.charged },
        money,
        elapsedS: stage.elapsedS,
      })}\n`,
    );
  }
  if (values.exit) await leave(0);
  stage.show(
    supervisor.adopted
      ? '\nIt was running before and goes on; `berth down` stops it.'
      : '\nCtrl-C stops it; its data stays.',
  );
  if (supervisor.adopted) process.exit(0);
} catch (error) {
  process.stderr.write(
    `\n${exitOf(error, false).text}\n  Logs: ${logFile(home, 'api')}, ${logFile(home, 'worker')}, ${logFile(home, 'agent')}\n`,
  );
  await leave(1);
}
