import { parseArgs } from 'node:util';
import { readConfig } from '#platform/config';
import { EXIT, exitOf } from '../exit.js';
import { logFile } from '../local/programs.js';
import { homeOf, writeState } from '../local/state.js';
import { aborted, stopSignal } from '../local/stop-signal.js';
import { Supervisor } from '../local/supervisor.js';
import { small } from './batch.js';
import { Stage } from './stage.js';
import { earnings } from './earnings.js';
import { books, chat, embed, market, meaning, preview, tenant } from './story.js';

const HELP = `npm run demo -- [options]: the main job, end to end, on real input.

  --exit       stop what was started at the end, instead of waiting for Ctrl-C
  --json       print nothing but one line of JSON at the end
  --port N     port of the API (default: PORT, else 7070); another is taken when it is busy
  --help       print this text
`;

process.exit(await main(process.argv.slice(2)));

async function main(argv: readonly string[]): Promise<number> {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  let values: { exit: boolean; json: boolean; help: boolean; port?: string };
  try {
    ({ values } = parseArgs({ args: [...argv], options: { exit: flag, json: flag, help: flag, port: text } }));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${HELP}`);
    return EXIT.usage;
  }
  if (values.help) {
    process.stdout.write(HELP);
    return EXIT.ok;
  }
  const home = homeOf();
  // Pseudo-terminals without a size cannot be drawn on.
  const live = process.stdout.isTTY && process.stdout.columns >= 40 && process.env['CI'] === undefined;
  const stage = new Stage(values.json, live);
  const stop = stopSignal(130);
  let supervisor: Supervisor | undefined;
  const leave = async (code: number): Promise<number> => {
    if (supervisor && !supervisor.adopted) stage.show('\nStopping. The data stays; the next run goes on with it.');
    await supervisor?.stop();
    return code;
  };
  try {
    supervisor = await stage.step(
      'A broker of your own: PostgreSQL, API, worker, and an agent that offers this machine',
      (tell) =>
        Supervisor.open({
          home,
          port: values.port === undefined ? readConfig().port : Number(values.port),
          host: true,
          say: (line) => tell.progress(line),
          signal: stop,
        }),
    );
    const told = tellStory(stage, supervisor, home, values.json);
    const over = await Promise.race([
      told.then(() => 'told' as const),
      aborted(stop).then(() => 'interrupted' as const),
    ]);
    if (over === 'interrupted') {
      told.catch(() => undefined);
      return await leave(130);
    }
    writeState(home, { ready: true });
    if (supervisor.adopted) stage.show('\nThe broker was running before and goes on; `berth down` stops it.');
    if (values.exit || supervisor.adopted) return await leave(EXIT.ok);
    stage.show('\nIt goes on until Ctrl-C; its data stays.');
    await aborted(stop);
    return await leave(EXIT.ok);
  } catch (error) {
    if (stop.aborted) return 130;
    const logs = (['api', 'worker', 'agent'] as const).map((name) => `  ${logFile(home, name)}`).join('\n');
    process.stderr.write(`\n${exitOf(error, false).text.replace(/^berth: /, 'The demo failed: ')}\nLogs:\n${logs}\n`);
    return leave(EXIT.failed);
  }
}

async function tellStory(stage: Stage, supervisor: Supervisor, home: string, json: boolean): Promise<void> {
  const { url, platformKey } = supervisor;
  stage.show(`${url}, data in ${home}${supervisor.adopted ? ' (it was running already)' : ''}`);
  const told = await tenant(stage, home, url, platformKey);
  await market(stage, told);
  const decision = await preview(stage, told);
  let firstResultAfterS: number | null = null;
  const texts = await embed(stage, told, () => (firstResultAfterS = stage.elapsedS));
  const vectors = await meaning(stage, told, texts);
  const talk = await chat(stage, told);
  const money = await books(stage, home, told);
  const earned = await earnings(stage, home, url, platformKey);
  const { elapsedS } = stage;
  stage.show(`
All of it took ${elapsedS.toFixed(1)} s and cost ${small(BigInt(texts.cost.charged) + BigInt(talk.job.cost.charged))}.

  API and its guide  ${url}  ${url}/docs
  tenant's key       ${told.login.key}
  platform's key     ${platformKey}
  kept in            ${home}/local.json
  logs               ${home}/logs
  invoice            ${money.pdf}
  host's statement   ${earned.pdf}

Try next, in another terminal:
  export PATH="$PWD/bin:$PATH"
  berth jobs ls
  berth placement preview --gpu H100 --count 8 --interconnect nvswitch --gpu-hours 10
  berth jobs submit --wait --command -- sh -c 'echo "hello from $(uname -sm)"'
  curl -s -H "Authorization: Bearer ${told.login.key}" "${url}/v1/offers?gpu=H100&limit=3"
README.md, "Your first job", goes on from here.`);
  if (!json) return;
  const summary = {
    url,
    considered: decision.considered,
    fitting: decision.fitting,
    placement: decision.id,
    firstResultAfterS,
    embeddings: { ...outcome(texts), vectors },
    chat: { ...outcome(talk.job), inputTokens: talk.inputTokens, outputTokens: talk.outputTokens },
    money,
    earned,
    elapsedS,
  };
  process.stdout.write(`${JSON.stringify(summary)}\n`);
}

function outcome(job: Awaited<ReturnType<typeof embed>>) {
  return { job: job.id, state: job.state, lines: job.progress.linesOk, charged: job.cost.charged };
}
